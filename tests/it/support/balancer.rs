//! What a Service of Kubernetes is to several replicas: each new connection goes to one that is ready.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::broker::client;
use super::process::ServiceProcess;

/// From one look at `/readyz` to the next.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Listens on a free port of the loopback. Ends with all its connections when it is dropped.
pub(crate) struct Balancer {
    address: SocketAddr,
    places: Arc<Vec<Place>>,
    _tasks: JoinSet<()>,
}

/// A replica.
struct Place {
    public: String,
    readyz: String,
    ready: AtomicBool,
    /// Is about to end, as Kubernetes knows before the replica does.
    leaving: AtomicBool,
}

impl Place {
    fn of(replica: &ServiceProcess) -> Self {
        let public = replica.public("");
        Self {
            public: public.trim_start_matches("http://").to_owned(),
            readyz: replica.private("/readyz"),
            ready: AtomicBool::new(false),
            leaving: AtomicBool::new(false),
        }
    }

    fn is_open(&self) -> bool {
        self.ready.load(Ordering::Relaxed) && !self.leaving.load(Ordering::Relaxed)
    }

    async fn watch(&self) {
        let http = client();
        loop {
            let asked = http.get(&self.readyz).timeout(LOOK_EVERY * 10).send().await;
            let ready = asked.is_ok_and(|answer| answer.status().is_success());
            self.ready.store(ready, Ordering::Relaxed);
            sleep(LOOK_EVERY).await;
        }
    }
}

impl Balancer {
    /// In front of these, which may not run yet.
    pub(crate) async fn before(replicas: &[ServiceProcess]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let places: Arc<Vec<_>> = Arc::new(replicas.iter().map(Place::of).collect());
        let mut tasks = JoinSet::new();
        for number in 0..places.len() {
            let places = Arc::clone(&places);
            tasks.spawn(async move { places[number].watch().await });
        }
        tasks.spawn(accept(listener, Arc::clone(&places)));
        Self {
            address,
            places,
            _tasks: tasks,
        }
    }

    /// Where X delivers to an app.
    pub(crate) fn webhook_of(&self, app: &str) -> String {
        format!("http://{}/webhooks/twitter/{app}", self.address)
    }

    /// No more connections for this one, or again once it is ready.
    pub(crate) fn set_leaving(&self, number: usize, leaving: bool) {
        self.places[number]
            .leaving
            .store(leaving, Ordering::Relaxed);
    }
}

async fn accept(listener: TcpListener, places: Arc<Vec<Place>>) {
    let (mut connections, turn) = (JoinSet::new(), AtomicUsize::new(0));
    while let Ok((client, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        let turn = turn.fetch_add(1, Ordering::Relaxed);
        let open: Vec<_> = places.iter().filter(|place| place.is_open()).collect();
        // Where nobody is ready the connection ends.
        if let Some(place) = open.get(turn % open.len().max(1)) {
            connections.spawn(relay(client, place.public.clone()));
        }
    }
}

async fn relay(mut client: TcpStream, replica: String) {
    // A replica that has just died refuses: so does the Service then.
    if let Ok(mut server) = TcpStream::connect(replica).await {
        // Whichever side ended it: the other one is told.
        let _ended = copy_bidirectional(&mut client, &mut server).await;
    }
}
