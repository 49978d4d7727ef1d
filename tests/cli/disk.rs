//! A disk that is full under the embedded log.

use super::command::Sandbox;
use super::full_disk;

#[test]
fn a_full_disk_under_the_log_stops_the_job_and_nothing_is_lost_or_twice() {
    full_disk::is_survived(&Sandbox::new(), 2_048, "the embedded log cannot be used");
}
