//! A server inside the process of its one client: on a loopback port of its own, with a token that
//! nobody else knows and that ends with it. Jobs and states lie in the folder of the embedded log,
//! where `flow server --local` finds them again.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use super::auth::{Scope, Tokens};
use super::config::{Config, JobsConfig};
use super::logs::LogBook;
use super::store::Store;
use super::{App, api, app, bind, data_folder, listen, open_log};
use crate::exit::{Failure, Result};
use flow_runtime::connect::local::Access;

/// Any free port that only this machine reaches.
const LISTEN: &str = "127.0.0.1:0";

/// A server, until it is dropped: jobs then finish their epochs.
pub struct Inside {
    app: Arc<App>,
    /// `None` once it is closed.
    serving: Option<(Runtime, JoinHandle<()>)>,
    url: String,
    token: String,
    /// Held until the end: other processes go through it.
    _access: Option<(PathBuf, Access)>,
}

impl Inside {
    /// Starts a server on the embedded log in a folder; jobs that are to run start. Jobs may read
    /// and write files below the working folder.
    ///
    /// # Errors
    /// If the folder is another server's, or something else that it needs cannot be had.
    pub fn start(folder: &Path, book: Arc<LogBook>) -> Result<Self> {
        let config = Config {
            local: Some(folder.to_path_buf()),
            jobs: JobsConfig { files: std::env::current_dir().ok(), ..JobsConfig::default() },
            ..Config::default()
        };
        let store = Store::open(&data_folder(&config))?;
        let (tokens, token) = Tokens::open(store.root())?.with_passing(Scope::Admin)?;
        let tcp = bind(LISTEN)?;
        let address = tcp.local_addr().map_err(Failure::failed)?;
        let access = config.local.as_deref().map(open_log).transpose()?;
        let (patience, connections) = (config.limits.patience(), config.limits.connections);
        let app = Arc::new(app(config, store, tokens, access.as_ref(), address, book)?);
        let closing = app.closing.subscribe();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .thread_name("http")
            .build()
            .map_err(Failure::failed)?;
        let router = api::router(app.clone());
        let tcp = {
            let _inside = runtime.enter();
            TcpListener::from_std(tcp).map_err(Failure::failed)?
        };
        let listener = listen::Listener { tcp, tls: None, connections, patience, closing };
        let serving = runtime.spawn(listener.serve(router));
        let url = format!("http://{address}");
        Ok(Self { app, serving: Some((runtime, serving)), url, token, _access: access })
    }

    /// Its address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The token that it takes.
    pub fn token(&self) -> &str {
        &self.token
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        self.app.closing.send_replace(true);
        if let Some((runtime, serving)) = self.serving.take() {
            // A request that panicked has been answered.
            let _ = runtime.block_on(serving);
        }
        self.app.jobs.close();
    }
}
