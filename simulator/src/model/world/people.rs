//! Accounts, their profiles and the ties between them.

use super::{Refused, World};
use crate::model::event::{Event, ProfileUpdate, Relation};
use crate::model::ids::UserId;
use crate::model::user::{NewUser, ProfileField, User};

impl World {
    pub(crate) fn add_user(&mut self, new: NewUser) -> Result<UserId, Refused> {
        let at_ms = self.time.tick();
        let id = UserId(new.id.unwrap_or_else(|| self.time.id_at(at_ms)));
        if self.users.contains_key(&id) || self.user_named(&new.username).is_some() {
            return Err(Refused::Taken(new.username));
        }
        let user = new.into_user(id, at_ms, &self.hosts.images);
        self.names.insert(user.username.to_lowercase(), id);
        self.users.insert(id, user);
        Ok(id)
    }

    pub(crate) fn user(&self, id: UserId) -> Result<&User, Refused> {
        self.users
            .get(&id)
            .ok_or_else(|| Refused::UnknownUser(id.to_string()))
    }

    pub(crate) fn user_named(&self, username: &str) -> Option<&User> {
        let id = self.names.get(&username.to_lowercase())?;
        self.users.get(id)
    }

    pub(crate) fn user_mut(&mut self, id: UserId) -> Result<&mut User, Refused> {
        self.users
            .get_mut(&id)
            .ok_or_else(|| Refused::UnknownUser(id.to_string()))
    }

    pub(crate) fn users(&self) -> impl Iterator<Item = &User> {
        self.users.values()
    }

    pub(crate) fn relate(
        &mut self,
        relation: Relation,
        source: UserId,
        target: UserId,
    ) -> Result<Event, Refused> {
        self.user(source)?;
        self.user(target)?;
        let tie = (source, target);
        match relation {
            Relation::Follow => self.follows.insert(tie),
            Relation::Unfollow => self.follows.remove(&tie),
            Relation::Block => self.blocks.insert(tie),
            Relation::Unblock => self.blocks.remove(&tie),
            // Muting changes nothing that is delivered.
            Relation::Mute | Relation::Unmute => true,
        };
        Ok(Event::Related {
            relation,
            source,
            target,
            at_ms: self.time.tick(),
        })
    }

    pub(crate) fn follows(&self, source: UserId, target: UserId) -> bool {
        self.follows.contains(&(source, target))
    }

    pub(crate) fn blocks(&self, source: UserId, target: UserId) -> bool {
        self.blocks.contains(&(source, target))
    }

    pub(crate) fn update_profile(
        &mut self,
        user: UserId,
        field: ProfileField,
        after: &str,
    ) -> Result<Event, Refused> {
        let at_ms = self.time.tick();
        let owner = self.user_mut(user)?;
        let before = std::mem::replace(field.of(owner), after.to_owned());
        if field == ProfileField::Username {
            self.names.remove(&before.to_lowercase());
            self.names.insert(after.to_lowercase(), user);
        }
        Ok(Event::ProfileUpdated(ProfileUpdate {
            user,
            field,
            before,
            after: after.to_owned(),
            at_ms,
        }))
    }

    /// The user has the places taken off all posts so far.
    pub(crate) fn scrub_geo(&mut self, user: UserId) -> Result<(), Refused> {
        self.user(user)?;
        let at_ms = self.time.tick();
        self.scrubbed.insert(user, at_ms);
        Ok(())
    }

    /// When that was, if it was.
    pub(crate) fn scrubbed_at_ms(&self, user: UserId) -> Option<i64> {
        self.scrubbed.get(&user).copied()
    }

    /// The user removes the app; who is told is settled before the subscription goes.
    pub(crate) fn revoke(&mut self, app: &str, user: UserId) -> Result<Event, Refused> {
        self.app(app)?;
        self.user(user)?;
        Ok(Event::Revoked {
            user,
            app: app.to_owned(),
            at_ms: self.time.tick(),
        })
    }

    pub(crate) fn end_replay(&mut self, app: &str, complete: bool) -> Result<Event, Refused> {
        self.app(app)?;
        let at_ms = self.time.tick();
        Ok(Event::ReplayEnded {
            app: app.to_owned(),
            job: self.time.id_at(at_ms),
            complete,
        })
    }
}
