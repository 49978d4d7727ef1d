//! Connections: accepted while there is room, by TLS if there is a certificate, each served by
//! HTTP/1.1 until it ends or the server closes. A client that is slow with its request's head, or
//! with taking the answer, is cut off.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_rustls::TlsAcceptor;

use super::limits::Patient;

/// Pause after the system refused a connection, such as for lack of file descriptors.
const REFUSED_PAUSE: Duration = Duration::from_millis(50);

/// Bytes of a request's head at most.
const HEAD_BYTES_MAX: usize = 64 << 10;

/// How connections are served.
pub(super) struct Listener {
    /// Where they come in.
    pub(super) tcp: TcpListener,
    /// How they are encrypted, if they are.
    pub(super) tls: Option<TlsAcceptor>,
    /// Connections at once.
    pub(super) connections: usize,
    /// How long a client may take.
    pub(super) patience: Duration,
    /// Turns true when the server closes.
    pub(super) closing: watch::Receiver<bool>,
}

impl Listener {
    /// Serves until the server closes, and then until open requests are answered, at most as long
    /// as a client may take.
    pub(super) async fn serve(self, router: Router) {
        let room = Arc::new(Semaphore::new(self.connections));
        let mut closing = self.closing.clone();
        loop {
            let accepted = async {
                let permit = room.clone().acquire_owned().await.ok()?;
                Some((self.tcp.accept().await, permit))
            };
            let (accepted, permit) = tokio::select! {
                accepted = accepted => match accepted {
                    Some(accepted) => accepted,
                    None => break,
                },
                () = closed(&mut closing) => break,
            };
            match accepted {
                Ok((stream, address)) => self.spawn(stream, address, permit, router.clone()),
                Err(error) => {
                    tracing::warn!("a connection cannot be accepted: {error}");
                    tokio::time::sleep(REFUSED_PAUSE).await;
                }
            }
        }
        drop(self.tcp);
        let all = u32::try_from(self.connections).unwrap_or(u32::MAX);
        let _ = tokio::time::timeout(self.patience, room.acquire_many(all)).await;
    }

    fn spawn(
        &self,
        stream: TcpStream,
        address: SocketAddr,
        permit: OwnedSemaphorePermit,
        router: Router,
    ) {
        let (tls, patience, closing) = (self.tls.clone(), self.patience, self.closing.clone());
        tokio::spawn(async move {
            let _permit = permit;
            // Answers are whole when they are written; waiting for more only delays them.
            let _ = stream.set_nodelay(true);
            let Some(tls) = tls else {
                return connection(stream, address, router, patience, closing).await;
            };
            match tokio::time::timeout(patience, tls.accept(stream)).await {
                Ok(Ok(stream)) => connection(stream, address, router, patience, closing).await,
                Ok(Err(error)) => tracing::debug!("{address}: no TLS connection: {error}"),
                Err(_) => tracing::debug!("{address}: TLS took too long"),
            }
        });
    }
}

/// Serves one connection.
async fn connection(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    address: SocketAddr,
    router: Router,
    patience: Duration,
    mut closing: watch::Receiver<bool>,
) {
    let service = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(address));
        service.call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(patience)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(Patient::new(stream, patience)), service)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = closed(&mut closing) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = served {
        tracing::debug!("{address}: the connection ended: {error}");
    }
}

/// Waits until the server closes.
async fn closed(closing: &mut watch::Receiver<bool>) {
    // The sender lives as long as the server.
    let _ = closing.wait_for(|closing| *closing).await;
}
