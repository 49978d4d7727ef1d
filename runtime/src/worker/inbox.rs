//! The exchange between the workers of a process. A send never blocks: memory is bounded by the
//! epoch's budget, which is taken at the source. A receiver knows that an edge is done for this
//! epoch when it has the end mark of every worker on it.

use crossbeam_channel::{Receiver, Sender, unbounded};
use flow_ir::ids::VertexId;
use flow_ir::row::RowBatch;

/// What crosses an edge.
pub(crate) enum Message {
    /// Rows for an input of a vertex.
    Rows {
        /// The receiver.
        to: VertexId,
        /// Its input.
        port: usize,
        /// The rows.
        rows: RowBatch,
    },
    /// A worker sends nothing more on this edge in this epoch.
    End {
        /// The receiver.
        to: VertexId,
        /// Its input.
        port: usize,
        /// The sender's watermark; no later row of it is older.
        watermark: i64,
    },
    /// The attempt is over: whoever waits is to give up.
    Abandon,
}

/// One worker's end of the exchange.
pub(crate) struct Exchange {
    inbox: Receiver<Message>,
    peers: Vec<Sender<Message>>,
}

impl Exchange {
    /// The ends of an exchange between this many workers, and one more sender to each of them.
    pub(crate) fn connect(workers: usize) -> (Vec<Exchange>, Vec<Sender<Message>>) {
        let (peers, inboxes): (Vec<_>, Vec<_>) = (0..workers).map(|_| unbounded()).unzip();
        let ends = inboxes.into_iter().map(|inbox| Exchange { inbox, peers: peers.clone() });
        (ends.collect(), peers)
    }

    /// Workers.
    pub(crate) fn workers(&self) -> usize {
        self.peers.len()
    }

    /// Sends to a worker. One that is gone has failed, and the coordinator knows.
    pub(crate) fn send(&self, worker: usize, message: Message) {
        let _ = self.peers[worker].send(message);
    }

    /// Sends the end of an edge to all workers.
    pub(crate) fn send_end(&self, to: VertexId, port: usize, watermark: i64) {
        for worker in 0..self.workers() {
            self.send(worker, Message::End { to, port, watermark });
        }
    }

    /// The next message, if one is there.
    pub(crate) fn try_receive(&self) -> Option<Message> {
        self.inbox.try_recv().ok()
    }

    /// Waits for the next message.
    pub(crate) fn receive(&self) -> Message {
        self.inbox.recv().unwrap_or(Message::Abandon)
    }
}
