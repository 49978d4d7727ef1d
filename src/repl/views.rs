//! The views that the server offers, for the checks and completions of what is typed.

use super::Shell;
use super::server::{Request, read};
use crate::offered::Listed;

impl Shell {
    /// Learns which views there are now. A server that does not tell is asked with each query.
    pub(super) fn learn_views(&mut self) {
        let answer = self.server.ask(&Request::get("/v1/views"));
        let listed: Vec<Listed> = answer.and_then(|text| read(&text)).unwrap_or_default();
        let views = listed.iter().filter_map(Listed::view).collect();
        self.session().offer(views);
    }
}
