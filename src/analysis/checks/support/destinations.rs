//! The destinations of a VirtualService, each with its place. Places are written out only for messages.

use sagene_api::istio::networking::VirtualService;
use sagene_api::istio::networking::common::Destination;

use crate::path::{FieldPath, Step};

/// Where in the spec a destination stands.
#[derive(Debug, Clone, Copy)]
pub(in crate::checks) enum Place {
    /// `http[].route[]`.
    Http(usize, usize),
    /// `http[].mirror`.
    Mirror(usize),
    /// `http[].mirrors[]`.
    Mirrors(usize, usize),
    /// `tls[].route[]`.
    Tls(usize, usize),
    /// `tcp[].route[]`.
    Tcp(usize, usize),
}

impl Place {
    /// True for copies of requests.
    pub(in crate::checks) const fn is_mirror(self) -> bool {
        matches!(self, Self::Mirror(_) | Self::Mirrors(..))
    }

    /// The path of a field of the destination, such as `port.number`.
    pub(in crate::checks) fn path(self, field: &str) -> FieldPath {
        let (protocol, route, list, index) = match self {
            Self::Http(route, index) => ("http", route, "route", Some(index)),
            Self::Mirror(route) => ("http", route, "mirror", None),
            Self::Mirrors(route, index) => ("http", route, "mirrors", Some(index)),
            Self::Tls(route, index) => ("tls", route, "route", Some(index)),
            Self::Tcp(route, index) => ("tcp", route, "route", Some(index)),
        };
        let begin = [Step::Key("spec"), Step::Key(protocol), Step::Index(route), Step::Key(list)];
        let element = index.map(|index| [Step::Index(index), Step::Key("destination")]);
        begin
            .into_iter()
            .chain(element.into_iter().flatten())
            .chain(field.split('.').map(Step::Key))
            .collect()
    }
}

/// Every destination of a VirtualService, delegates' not included: they have their own object.
pub(in crate::checks) fn destinations(
    service: &VirtualService,
) -> impl Iterator<Item = (Place, &Destination)> {
    let http = service.http.iter().enumerate().flat_map(|(index, route)| {
        let routes = route
            .route
            .iter()
            .enumerate()
            .map(move |(at, weighted)| (Place::Http(index, at), &weighted.destination));
        let mirror = route.mirror.as_deref().into_iter().map(move |mirror| (Place::Mirror(index), mirror));
        let mirrors = route
            .mirrors
            .iter()
            .enumerate()
            .map(move |(at, mirror)| (Place::Mirrors(index, at), &mirror.destination));
        routes.chain(mirror).chain(mirrors)
    });
    let tls = service.tls.iter().enumerate().flat_map(|(index, route)| {
        let routes = route.route.iter().enumerate();
        routes.map(move |(at, weighted)| (Place::Tls(index, at), &weighted.destination))
    });
    let tcp = service.tcp.iter().enumerate().flat_map(|(index, route)| {
        let routes = route.route.iter().enumerate();
        routes.map(move |(at, weighted)| (Place::Tcp(index, at), &weighted.destination))
    });
    http.chain(tls).chain(tcp)
}
