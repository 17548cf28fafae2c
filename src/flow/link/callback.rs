//! What a browser brings back from X.

use secrecy::SecretString;

use super::error::LinkError;

/// Longest part of it that anybody needs, bytes; X's codes and states are far shorter.
const LONGEST: usize = 2_000;

/// X's answer, as the browser carries it.
#[derive(Debug)]
pub struct Callback {
    /// By what is known which beginning it belongs to.
    pub(super) state: String,
    pub(super) answer: Answer,
}

/// What the person said.
#[derive(Debug)]
pub(super) enum Answer {
    /// OAuth 1.0a, allowed.
    Verifier(SecretString),
    /// OAuth 2.0, allowed.
    Code(SecretString),
    /// Not allowed; with X's description.
    Denied(Option<String>),
    /// X's page ended with this error.
    Failed(String),
}

impl Callback {
    /// Reads the query of the callback.
    ///
    /// # Errors
    /// [`LinkError::NoAnswer`].
    pub fn parse(query: &str) -> Result<Self, LinkError> {
        let pairs: Vec<_> = url::form_urlencoded::parse(query.as_bytes()).collect();
        let get = |wanted: &str| {
            let mut found = pairs.iter().filter(|(name, _)| name == wanted);
            let (_, value) = found.next()?;
            let fits = (1..=LONGEST).contains(&value.len()) && found.next().is_none();
            fits.then(|| value.clone().into_owned())
        };
        let (state, answer) = if let Some(token) = get("denied") {
            (Some(token), Answer::Denied(None))
        } else if let Some(verifier) = get("oauth_verifier") {
            (get("oauth_token"), Answer::Verifier(verifier.into()))
        } else if let Some(code) = get("code") {
            (get("state"), Answer::Code(code.into()))
        } else {
            let error = get("error").ok_or(LinkError::NoAnswer)?;
            (get("state"), refused(error, get("error_description")))
        };
        let state = state.ok_or(LinkError::NoAnswer)?;
        Ok(Self { state, answer })
    }
}

fn refused(error: String, description: Option<String>) -> Answer {
    match (error.as_str(), description) {
        ("access_denied", description) => Answer::Denied(description),
        (_, Some(description)) => Answer::Failed(format!("{error}: {description}")),
        (_, None) => Answer::Failed(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_say_yes_and_no() {
        for (query, state, answer) in [
            ("oauth_token=t&oauth_verifier=v", "t", "Verifier"),
            ("denied=t", "t", "Denied(None)"),
            ("state=s&code=c", "s", "Code"),
            ("error=access_denied&state=s", "s", "Denied(None)"),
            (
                "error=access_denied&error_description=no+way&state=s",
                "s",
                "Denied(Some(\"no way\"))",
            ),
            (
                "error=invalid_scope&state=s",
                "s",
                "Failed(\"invalid_scope\")",
            ),
        ] {
            let read = Callback::parse(query).unwrap();
            assert_eq!(read.state, state, "{query}");
            assert!(format!("{:?}", read.answer).starts_with(answer), "{query}");
        }
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        let long = format!("state=s&code={}", "c".repeat(LONGEST + 1));
        for query in [
            "",
            "code=c",
            "code=&state=s",
            "oauth_verifier=v",
            "state=s",
            "error=x",
            "state=s&state=t&code=c",
            "state=s&code=c&code=d",
            &long,
        ] {
            assert!(
                matches!(Callback::parse(query), Err(LinkError::NoAnswer)),
                "{query}"
            );
        }
    }

    #[test]
    fn an_answer_does_not_print_its_code() {
        let read = Callback::parse("state=s&code=c0de").unwrap();
        assert!(!format!("{read:?}").contains("c0de"));
    }
}
