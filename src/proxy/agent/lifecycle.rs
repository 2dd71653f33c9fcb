//! Orders that end this proxy, from whichever port or signal they come.

use tokio::sync::mpsc;

/// What was ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// The pod begins to end: let inbound clients go elsewhere, serve on.
    Drain,
    /// Drain everything, then end.
    Quit,
}

/// Gives orders; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Lifecycle {
    orders: mpsc::UnboundedSender<Order>,
}

/// Receives orders.
pub(crate) type Orders = mpsc::UnboundedReceiver<Order>;

impl Lifecycle {
    /// A handle and the end that obeys.
    pub(crate) fn new() -> (Self, Orders) {
        let (orders, receiver) = mpsc::unbounded_channel();
        (Self { orders }, receiver)
    }

    /// Orders [`Order::Drain`].
    pub(crate) fn drain(&self) {
        // Nobody obeys any more when the process is ending already.
        let _ = self.orders.send(Order::Drain);
    }

    /// Orders [`Order::Quit`].
    pub(crate) fn quit(&self) {
        let _ = self.orders.send(Order::Quit);
    }
}
