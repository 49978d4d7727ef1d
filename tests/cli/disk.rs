//! A disk that is full under the embedded log.

use super::command::Sandbox;
use super::full_disk::Job;

#[test]
fn a_full_disk_under_the_log_stops_the_job_and_nothing_is_lost_or_twice() {
    let sandbox = &Sandbox::new();
    let options = &["-D", "epoch.max.records=100"];
    let job = Job { sandbox, name: "full", counted: "*", options };
    job.is_stopped_and_goes_on(2_048, "the embedded log cannot be used");
}
