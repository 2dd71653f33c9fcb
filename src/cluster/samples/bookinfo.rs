//! Bookinfo: four services, one page.

pub(super) mod client;
pub(super) mod details;
mod page;
pub(super) mod productpage;
pub(super) mod ratings;
pub(super) mod reviews;
