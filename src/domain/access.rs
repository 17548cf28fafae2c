//! Who may use the API and the console, and who has changed something.

use std::fmt;
use std::str::FromStr;

/// What a credential lets its holder do; each role may do all that those before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Look at everything.
    Read,
    /// And what a core does beside its queues: check commands, test the route, publish again.
    Core,
    /// And change everything.
    Admin,
}

impl Role {
    /// Every role, from the least to the most.
    pub const ALL: [Self; 3] = [Self::Read, Self::Core, Self::Admin];

    /// As written everywhere.
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Core => "core",
            Self::Admin => "admin",
        }
    }
}

/// A word that is no role.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected read, core or admin")]
pub struct InvalidRole;

impl FromStr for Role {
    type Err = InvalidRole;

    fn from_str(raw: &str) -> Result<Self, InvalidRole> {
        let found = Self::ALL.into_iter().find(|role| role.name() == raw);
        found.ok_or(InvalidRole)
    }
}

/// Name of a token: 1 to 64 letters, digits, `.`, `_` or `-`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenName(String);

impl TokenName {
    /// Longest name, characters.
    pub const LONGEST: usize = 64;

    /// The token of the settings, `private.token`.
    pub fn of_settings() -> Self {
        Self("private.token".to_owned())
    }

    /// As it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A string that is no name of a token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected 1 to 64 letters, digits, `.`, `_` or `-`, and not `private.token`")]
pub struct InvalidTokenName;

impl FromStr for TokenName {
    type Err = InvalidTokenName;

    /// The name of the token of the settings is taken.
    fn from_str(raw: &str) -> Result<Self, InvalidTokenName> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        let fits = (1..=Self::LONGEST).contains(&raw.len()) && raw.bytes().all(plain);
        let name = Self(raw.to_owned());
        (fits && name != Self::of_settings())
            .then_some(name)
            .ok_or(InvalidTokenName)
    }
}

impl fmt::Display for TokenName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Who changes something; written into the audit as [`fmt::Display`] has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// Somebody with a token: `token:NAME`.
    Token(TokenName),
    /// Somebody logged in at the console with a token: `session:NAME`.
    Session(TokenName),
    /// Whoever may run the program beside the store: `command-line`.
    CommandLine,
    /// The service by itself: `service`.
    Service,
    /// A person who was sent an invitation to link an account: `invitation`.
    Invited,
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token(name) => write!(f, "token:{name}"),
            Self::Session(name) => write!(f, "session:{name}"),
            Self::CommandLine => f.write_str("command-line"),
            Self::Service => f.write_str("service"),
            Self::Invited => f.write_str("invitation"),
        }
    }
}

/// A text that names no actor.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected an actor as the audit has it")]
pub struct InvalidActor;

impl FromStr for Actor {
    type Err = InvalidActor;

    /// As [`fmt::Display`] writes it.
    fn from_str(raw: &str) -> Result<Self, InvalidActor> {
        let name = |raw: &str| match raw {
            "private.token" => Ok(TokenName::of_settings()),
            other => other.parse().or(Err(InvalidActor)),
        };
        match raw.split_once(':') {
            Some(("token", of)) => name(of).map(Self::Token),
            Some(("session", of)) => name(of).map(Self::Session),
            _ => [Self::CommandLine, Self::Service, Self::Invited]
                .into_iter()
                .find(|actor| actor.to_string() == raw)
                .ok_or(InvalidActor),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_role_may_do_more() {
        assert!(Role::Read < Role::Core && Role::Core < Role::Admin);
        for role in Role::ALL {
            assert_eq!(role.name().parse(), Ok(role));
        }
        assert_eq!("Admin".parse::<Role>(), Err(InvalidRole));
    }

    #[test]
    fn a_token_is_named_plainly_and_not_as_that_of_the_settings() {
        let longest = "n".repeat(64);
        for good in ["core", "ops-1", "a.b_c", longest.as_str()] {
            assert!(good.parse::<TokenName>().is_ok(), "{good}");
        }
        let too_long = "n".repeat(65);
        for bad in ["", "a b", "ä", "private.token", "<b>", too_long.as_str()] {
            assert!(bad.parse::<TokenName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_audit_tells_a_token_from_a_session() {
        let name: TokenName = "ops".parse().unwrap();
        assert_eq!(Actor::Token(name.clone()).to_string(), "token:ops");
        assert_eq!(Actor::Session(name).to_string(), "session:ops");
    }
    #[test]
    fn an_actor_is_read_as_it_is_written() {
        let name: TokenName = "ops".parse().unwrap();
        for actor in [
            Actor::Token(name.clone()),
            Actor::Session(name),
            Actor::Token(TokenName::of_settings()),
            Actor::CommandLine,
            Actor::Service,
            Actor::Invited,
        ] {
            assert_eq!(actor.to_string().parse(), Ok(actor));
        }
        for bad in ["", "token:", "token:a b", "somebody"] {
            assert_eq!(bad.parse::<Actor>(), Err(InvalidActor), "{bad}");
        }
    }
}
