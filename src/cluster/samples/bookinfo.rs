//! Bookinfo: four services, one page.

mod bson;
pub(super) mod client;
pub(super) mod details;
pub(super) mod mongodb;
mod page;
pub(super) mod productpage;
pub(super) mod ratings;
pub(super) mod reviews;
