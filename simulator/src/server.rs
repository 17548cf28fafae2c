//! The listener: page, control API, pictures.

use std::io;
use std::net::TcpListener;

use actix_web::dev::Server;
use actix_web::web::{Data, get, post, scope};
use actix_web::{App, HttpServer};

use crate::simulator::Simulator;
use crate::{api, consent, control, page, photo};

/// All routes; the server runs once it is polled.
pub(crate) fn build(simulator: Simulator, listener: TcpListener) -> io::Result<Server> {
    let simulator = Data::new(simulator);
    let server = HttpServer::new(move || {
        App::new()
            .app_data(simulator.clone())
            .route("/", get().to(page::show))
            .route("/actions/{action}", post().to(page::act))
            .service(scope("/control").configure(control::routes))
            .configure(api::routes)
            .configure(consent::routes)
            .route("/{path:.+\\.png}", get().to(photo::show))
    });
    Ok(server
        .workers(1)
        .on_connect(api::Wire::keep)
        .disable_signals()
        .shutdown_timeout(1)
        .listen(listener)?
        .run())
}
