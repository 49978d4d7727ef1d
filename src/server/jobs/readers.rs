//! Jobs that read the views of other jobs: who reads whom, and what is refused because of it. A job
//! that is being dropped reads nothing any more, and has nothing to read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use flow_compiler::check::views::{ViewDecl, views_of};
use flow_ir::connector::VIEW_TABLE;
use flow_ir::physical::JobGraph;

use super::info::JobInfo;
use super::{Answer, Job, Jobs, Refused};
use crate::server::name::JobName;

impl Jobs {
    /// The views of all jobs, whether they run or not, as programs may read them.
    pub fn views(&self) -> Vec<ViewDecl> {
        self.graphs().iter().flat_map(|graph| views_of(graph)).collect()
    }

    /// By job, the names of those that read its views.
    pub fn readers(&self) -> BTreeMap<String, Vec<String>> {
        let mut readers: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (reader, keepers) in reads_of(&self.graphs()) {
            for keeper in keepers {
                readers.entry(keeper).or_default().push(reader.clone());
            }
        }
        readers
    }

    /// A job as the API shows it.
    pub fn info(&self, job: &Job) -> JobInfo {
        let read_by = self.readers().remove(job.name.as_str()).unwrap_or_default();
        JobInfo { read_by, ..job.info() }
    }

    /// All jobs as the API shows them, by name.
    pub fn infos(&self) -> Vec<JobInfo> {
        let mut readers = self.readers();
        let mut info = |job: &Arc<Job>| {
            let read_by = readers.remove(job.name.as_str()).unwrap_or_default();
            JobInfo { read_by, ..job.info() }
        };
        self.all().iter().map(&mut info).collect()
    }

    /// What a program under this name may not do with the views of other jobs and its own.
    ///
    /// # Errors
    /// See `Refused`.
    pub fn check_views(&self, name: &JobName, graph: &JobGraph, fresh: bool) -> Answer<()> {
        if fresh {
            self.refuse_if_read(name)?;
        }
        for (keeper, stream) in graph.views_read() {
            let Some(keeper) = JobName::new(keeper).ok().and_then(|name| self.get(&name).ok())
            else {
                // It runs elsewhere; the start tells whether it does.
                continue;
            };
            if keeper.is_dropped() {
                return Err(Refused::Dropping(keeper.name.clone()));
            }
            let table = stream.option(VIEW_TABLE).unwrap_or_default();
            let keeps = |graph: &JobGraph| views_of(graph).iter().any(|view| view.table == table);
            if keeper.graph().is_ok_and(|graph| !keeps(&graph)) {
                return Err(Refused::NoSuchView(format!(
                    "job {} does not keep view {} as this program reads it",
                    keeper.name, stream.name
                )));
            }
        }
        self.refuse_circle(name, graph)
    }

    /// Refuses to take away what others read.
    pub(super) fn refuse_if_read(&self, name: &JobName) -> Answer<()> {
        match self.readers().remove(name.as_str()) {
            Some(readers) => Err(Refused::IsRead(name.clone(), readers)),
            None => Ok(()),
        }
    }

    /// Refuses a program that reads, over whatever jobs, what it keeps itself.
    fn refuse_circle(&self, name: &JobName, graph: &JobGraph) -> Answer<()> {
        let reads = reads_of(&self.graphs());
        let mut next: Vec<String> = keepers(graph).into_iter().collect();
        let mut seen = BTreeSet::new();
        while let Some(keeper) = next.pop() {
            if keeper == name.as_str() {
                return Err(Refused::ReadsItself(format!(
                    "job {name} would read what is made of its own views"
                )));
            }
            next.extend(reads.get(&keeper).into_iter().flatten().cloned());
            if !seen.insert(keeper) {
                next.retain(|keeper| !seen.contains(keeper));
            }
        }
        Ok(())
    }

    /// The programs of all jobs that stay.
    fn graphs(&self) -> Vec<Arc<JobGraph>> {
        let jobs = self.all().into_iter().filter(|job| !job.is_dropped());
        jobs.filter_map(|job| job.graph().ok()).collect()
    }
}

/// By job, those whose views it reads.
fn reads_of(graphs: &[Arc<JobGraph>]) -> BTreeMap<String, BTreeSet<String>> {
    graphs.iter().map(|graph| (graph.name.clone(), keepers(graph))).collect()
}

fn keepers(graph: &JobGraph) -> BTreeSet<String> {
    graph.views_read().into_iter().map(|(keeper, _)| keeper.to_string()).collect()
}
