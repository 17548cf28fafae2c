//! The simulator as tests drive it.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use thiserror::Error;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::crc::{self, CrcError, CrcReport};
use crate::deliver::{Courier, Target};
use crate::dispatch::letters;
use crate::forms::{self, View};
use crate::model::{
    Event, Form, MediaHosts, MessageId, NewApp, NewMessage, NewPost, NewUser, PostId, ProfileField,
    Refused, Relation, SigningSecret, UserId, World,
};
use crate::outbox::Outbox;
use crate::record::{AttemptResult, Delivery, Record};
use crate::server;
use crate::settings::{Disturbances, MediaBase, Settings};
use crate::shared::SharedWorld;
use crate::signature::sign;

/// The simulator cannot start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The address is taken or not ours.
    #[error("cannot listen")]
    Listen(#[source] io::Error),
    /// The HTTP client cannot be made.
    #[error("cannot make an HTTP client")]
    Client(#[source] reqwest::Error),
    /// The TLS settings of the HTTP client are refused.
    #[error("cannot set up TLS")]
    Tls(#[source] rustls::Error),
}

/// The signature on a delivery made by hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RawSignature {
    /// The right one.
    Correct,
    /// Whatever stands here.
    Header(String),
    /// None at all.
    Missing,
}

/// A running X. Clones drive the same one.
#[derive(Clone)]
pub struct Simulator {
    inner: Arc<Inner>,
}

struct Inner {
    url: String,
    world: SharedWorld,
    outbox: Outbox,
    record: Arc<Record>,
    courier: Courier,
    crc_timeout: Duration,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// Start and stop.
impl Simulator {
    /// Starts to listen and to deliver, on the runtime of the caller.
    pub async fn start(settings: Settings) -> Result<Self, StartError> {
        let listener = TcpListener::bind(settings.listen).map_err(StartError::Listen)?;
        let address = listener.local_addr().map_err(StartError::Listen)?;
        let url = format!("http://{address}");
        let hosts = media_hosts(&settings.media_base, &url);
        let world = SharedWorld::new(World::new(settings.clock.clone(), settings.seed, hosts));
        let record = Arc::new(Record::new(settings.kept_deliveries));
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let courier = Courier::new(
            http_client()?,
            world.clone(),
            record.clone(),
            tasks.clone(),
            stop.clone(),
            &settings,
        );
        let (parcels, queue) = mpsc::unbounded_channel();
        let outbox = Outbox::new(
            settings.disturbances,
            settings.seed,
            record.clone(),
            parcels,
        );
        tasks.spawn(courier.clone().run(queue));
        let simulator = Self {
            inner: Arc::new(Inner {
                url,
                world,
                outbox,
                record,
                courier,
                crc_timeout: settings.crc_timeout,
                tasks,
                stop,
            }),
        };
        simulator.serve(listener)?;
        if let Some(interval) = settings.crc_interval {
            simulator
                .inner
                .tasks
                .spawn(simulator.clone().check_regularly(interval));
        }
        Ok(simulator)
    }

    fn serve(&self, listener: TcpListener) -> Result<(), StartError> {
        let server = server::build(self.clone(), listener).map_err(StartError::Listen)?;
        let handle = server.handle();
        let stop = self.inner.stop.clone();
        self.inner.tasks.spawn(server);
        self.inner.tasks.spawn(async move {
            stop.cancelled().await;
            handle.stop(true).await;
        });
        Ok(())
    }

    async fn check_regularly(self, interval: Duration) {
        let stop = self.inner.stop.clone();
        while stop
            .run_until_cancelled(tokio::time::sleep(interval))
            .await
            .is_some()
        {
            let apps: Vec<String> = self
                .world()
                .lock()
                .apps()
                .map(|app| app.settings.name.clone())
                .collect();
            for app in apps {
                if let Err(error) = self.crc(&app).await {
                    tracing::warn!(app, %error, "CRC failed");
                }
            }
        }
    }

    /// Stops listening and delivering; what is on its way is not repeated.
    pub async fn stop(&self) {
        self.inner.stop.cancel();
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
    }

    /// Where the page and the control API are.
    pub fn url(&self) -> &str {
        &self.inner.url
    }

    pub(crate) fn world(&self) -> &SharedWorld {
        &self.inner.world
    }
}

/// Apps and accounts.
impl Simulator {
    /// Registers an app; its webhook counts as valid until a check says otherwise.
    pub fn add_app(&self, app: NewApp) -> Result<(), Refused> {
        self.world().lock().add_app(app)
    }

    /// Adds an account of X.
    pub fn add_user(&self, user: NewUser) -> Result<UserId, Refused> {
        self.world().lock().add_user(user)
    }

    /// The account of that name.
    pub fn user_id(&self, username: &str) -> Option<UserId> {
        self.world().lock().user_named(username).map(|user| user.id)
    }

    /// From now on the app gets what concerns the account in these forms. With the filtered stream
    /// comes a rule for what names the account or is written by it.
    pub fn subscribe(&self, app: &str, user: UserId, forms: &[Form]) -> Result<(), Refused> {
        self.world().lock().subscribe(app, user, forms)
    }

    /// Adds a rule to the app's filtered stream: terms, `-term`, `@name`, `from:`, `to:`,
    /// `conversation_id:`, `is:retweet`, alternatives between `OR`.
    pub fn add_rule(&self, app: &str, value: &str, tag: &str) -> Result<(), Refused> {
        self.world().lock().add_rule(app, value, tag)
    }

    /// Puts a new consumer secret in force.
    pub fn rotate_secret(&self, app: &str, secret: &str) -> Result<(), Refused> {
        self.world().lock().rotate_secret(app, secret)
    }

    /// Chooses the secret that signs deliveries from now on.
    pub fn sign_with(&self, app: &str, secret: SigningSecret) -> Result<(), Refused> {
        self.world().lock().sign_with(app, secret)
    }

    /// The user removes the app: it is told so, and then nothing more.
    pub fn revoke(&self, app: &str, user: UserId) -> Result<(), Refused> {
        let mut world = self.world().lock();
        let event = world.revoke(app, user)?;
        self.announce(&world, &event);
        world.unsubscribe(app, user);
        Ok(())
    }
}

/// Things that happen.
impl Simulator {
    /// Somebody posts.
    pub fn post(&self, post: NewPost) -> Result<PostId, Refused> {
        self.posted(|world| world.post(post))
    }

    /// Somebody reposts.
    pub fn repost(&self, author: UserId, post: PostId) -> Result<PostId, Refused> {
        self.posted(|world| world.repost(author, post))
    }

    /// The author changes the text; the new version has a new id.
    pub fn edit(&self, post: PostId, text: &str) -> Result<PostId, Refused> {
        self.posted(|world| world.edit(post, text))
    }

    /// The author removes a post with all its versions.
    pub fn delete(&self, post: PostId) -> Result<(), Refused> {
        self.happened(|world| world.delete(post))
    }

    /// Somebody writes a direct message.
    pub fn direct_message(&self, message: NewMessage) -> Result<MessageId, Refused> {
        let mut world = self.world().lock();
        let id = world.direct_message(message)?;
        self.announce(&world, &Event::DirectMessage(id));
        Ok(id)
    }

    /// Somebody types a direct message.
    pub fn typing(&self, sender: UserId, recipient: UserId) -> Result<(), Refused> {
        self.happened(|world| world.typing(sender, recipient))
    }

    /// The recipient has read `last` and all before it.
    pub fn mark_read(&self, last: MessageId) -> Result<(), Refused> {
        self.happened(|world| world.mark_read(last))
    }

    /// Somebody writes an encrypted message; its id comes back.
    pub fn chat_message(&self, sender: UserId, recipient: UserId) -> Result<String, Refused> {
        let mut world = self.world().lock();
        let message = world.chat_message(sender, recipient)?;
        self.announce(&world, &Event::Chat(message.clone()));
        Ok(message.id)
    }

    /// Somebody likes a post.
    pub fn like(&self, user: UserId, post: PostId) -> Result<(), Refused> {
        self.happened(|world| world.like(user, post))
    }

    /// Somebody follows somebody.
    pub fn follow(&self, source: UserId, target: UserId) -> Result<(), Refused> {
        self.happened(|world| world.relate(Relation::Follow, source, target))
    }

    /// And no longer.
    pub fn unfollow(&self, source: UserId, target: UserId) -> Result<(), Refused> {
        self.happened(|world| world.relate(Relation::Unfollow, source, target))
    }

    /// Somebody blocks somebody.
    pub fn block(&self, source: UserId, target: UserId) -> Result<(), Refused> {
        self.happened(|world| world.relate(Relation::Block, source, target))
    }

    /// And no longer.
    pub fn unblock(&self, source: UserId, target: UserId) -> Result<(), Refused> {
        self.happened(|world| world.relate(Relation::Unblock, source, target))
    }

    /// Somebody mutes somebody.
    pub fn mute(&self, source: UserId, target: UserId) -> Result<(), Refused> {
        self.happened(|world| world.relate(Relation::Mute, source, target))
    }

    /// And no longer.
    pub fn unmute(&self, source: UserId, target: UserId) -> Result<(), Refused> {
        self.happened(|world| world.relate(Relation::Unmute, source, target))
    }

    /// Somebody changes a line of the profile.
    pub fn update_profile(
        &self,
        user: UserId,
        field: ProfileField,
        value: &str,
    ) -> Result<(), Refused> {
        self.happened(|world| world.update_profile(user, field, value))
    }

    /// A replay job of the app is over.
    pub fn end_replay(&self, app: &str, complete: bool) -> Result<(), Refused> {
        self.happened(|world| world.end_replay(app, complete))
    }

    fn posted(
        &self,
        post: impl FnOnce(&mut World) -> Result<PostId, Refused>,
    ) -> Result<PostId, Refused> {
        let mut world = self.world().lock();
        let id = post(&mut world)?;
        self.announce(&world, &Event::Posted(id));
        Ok(id)
    }

    fn happened(
        &self,
        happen: impl FnOnce(&mut World) -> Result<Event, Refused>,
    ) -> Result<(), Refused> {
        let mut world = self.world().lock();
        let event = happen(&mut world)?;
        self.announce(&world, &event);
        Ok(())
    }

    /// Still under the world's lock, so that deliveries leave in the order of what happened.
    fn announce(&self, world: &World, event: &Event) {
        self.inner.outbox.put(letters(world, event));
    }
}

/// Deliveries.
impl Simulator {
    /// What goes wrong from now on.
    pub fn disturb(&self, disturbances: Disturbances) {
        self.inner.outbox.disturb(disturbances);
    }

    /// What goes wrong with the next thing that happens, in place of what always does.
    pub fn disturb_next(&self, disturbances: Disturbances) {
        self.inner.outbox.disturb_next(disturbances);
    }

    /// Sends what is gathered, however little it is.
    pub fn release(&self) {
        self.inner.outbox.release();
    }

    /// Sends what is gathered and waits until every delivery has been answered or given up.
    pub async fn settled(&self) {
        self.release();
        self.inner.record.settled().await;
    }

    /// The latest deliveries, oldest first.
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.inner.record.all()
    }

    /// Sends any bytes once, with any signature; what is wrong with them is the caller's wish.
    pub async fn deliver(
        &self,
        app: &str,
        body: impl Into<Bytes>,
        signature: RawSignature,
    ) -> Result<AttemptResult, Refused> {
        let body = body.into();
        let target = {
            let world = self.world().lock();
            let app = world.app(app)?;
            Target {
                webhook: app.settings.webhook.clone(),
                signature: match signature {
                    RawSignature::Correct => Some(sign(app.delivery_secret(), &body)),
                    RawSignature::Header(value) => Some(value),
                    RawSignature::Missing => None,
                },
            }
        };
        Ok(target.send(&self.inner.courier, body).await)
    }

    /// What the app would get for a post, unsent: one body, in X Activity sometimes two, none
    /// where X stays silent.
    pub fn bodies_of(
        &self,
        post: PostId,
        app: &str,
        account: UserId,
        form: Form,
    ) -> Result<Vec<Vec<u8>>, Refused> {
        self.bodies(&Event::Posted(post), app, account, form)
    }

    /// The same for a direct message.
    pub fn bodies_of_message(
        &self,
        message: MessageId,
        app: &str,
        account: UserId,
        form: Form,
    ) -> Result<Vec<Vec<u8>>, Refused> {
        self.bodies(&Event::DirectMessage(message), app, account, form)
    }

    fn bodies(
        &self,
        event: &Event,
        app: &str,
        account: UserId,
        form: Form,
    ) -> Result<Vec<Vec<u8>>, Refused> {
        let world = self.world().lock();
        let view = View {
            world: &world,
            app: world.app(app)?,
            account: world.user(account)?,
        };
        let bodies = forms::bodies(view, event, form);
        Ok(bodies
            .into_iter()
            .map(|body| body.json.to_string().into_bytes())
            .collect())
    }

    /// The signature header for bytes, as the app's deliveries bear it now.
    pub fn signature_of(&self, app: &str, body: &[u8]) -> Result<String, Refused> {
        let world = self.world().lock();
        Ok(sign(world.app(app)?.delivery_secret(), body))
    }
}

/// The clock and the check.
impl Simulator {
    /// Lets time pass on a stepping clock.
    pub fn advance(&self, by: Duration) {
        self.world().lock().advance(by);
    }

    /// Checks the webhook as X does, and marks it valid or invalid as X does.
    pub async fn crc(&self, app: &str) -> Result<(), CrcError> {
        crc::check(
            self.world(),
            &self.inner.courier.http,
            app,
            self.inner.crc_timeout,
        )
        .await
    }

    /// The last check of the app.
    pub fn last_crc(&self, app: &str) -> Result<Option<CrcReport>, Refused> {
        Ok(self.world().lock().app(app)?.last_crc.clone())
    }

    /// Whether X delivers to the app's webhook.
    pub fn webhook_valid(&self, app: &str) -> Result<bool, Refused> {
        Ok(self.world().lock().app(app)?.valid)
    }
}

fn media_hosts(base: &MediaBase, own_url: &str) -> MediaHosts {
    match base {
        MediaBase::X => MediaHosts::of_x(),
        MediaBase::Simulator => MediaHosts::all_at(own_url),
        MediaBase::Url(url) => MediaHosts::all_at(url),
    }
}

/// Deliveries go to this machine in the clear. reqwest panics without a TLS provider, so it gets
/// one that is not the process's default and trusts nobody.
fn http_client() -> Result<reqwest::Client, StartError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(StartError::Tls)?
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .map_err(StartError::Client)
}
