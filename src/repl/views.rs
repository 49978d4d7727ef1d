//! The views that the server offers, for the checks and completions of what is typed.

use super::Shell;
use super::server::{Request, read};
use crate::offered::Listed;

impl Shell {
    /// Learns which views there are now. Whether the server told; one that does not is asked with
    /// each query.
    pub(super) fn learn_views(&mut self) -> bool {
        let answer = self.server.ask(&Request::get("/v1/views"));
        let listed: Option<Vec<Listed>> = answer.and_then(|text| read(&text)).ok();
        let views = listed.iter().flatten().filter_map(Listed::view).collect();
        self.session().offer(views);
        listed.is_some()
    }
}
