//! Telemetry as the console sees it: scraped expositions turned into per-edge changes over time.
//!
//! Order of the room: [`exposition`] reads text, [`edge`] gives a series its place in the mesh, [`history`] keeps changes by time,
//! [`collector`] scrapes all proxies on a beat.

pub mod collector;
pub mod edge;
pub mod exposition;
pub mod history;

pub use collector::{Collector, Scrape, ScrapeError, Scraper, Target};
pub use edge::{EdgeDelta, EdgeKey, Peer, Reporter};
pub use history::{Exposed, History, Window};
