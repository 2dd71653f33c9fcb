//! The route table that keeps marked packets inside the pod (interception mode `TPROXY`), written over netlink: as
//! `ip rule add fwmark MARK lookup TABLE` and `ip route add local default dev lo table TABLE` would.

use std::net::{Ipv4Addr, Ipv6Addr};

use nlink::netlink::nftables::Family;
use nlink::netlink::route::RouteType;
use nlink::{Connection, Ipv4Route, Ipv6Route, Route, RuleBuilder};

use super::arguments::Tproxy;

/// Most rules of earlier runs that are removed: runs replace each other, so there is one.
const MOST_LEFTOVERS: usize = 16;

/// Writes the rule and the route, once, whatever an earlier run left.
pub(super) async fn replace(family: Family, wanted: Tproxy) -> nlink::Result<()> {
    let connection = Connection::<Route>::new()?;
    remove_rules(&connection, family, wanted).await?;
    connection.add_rule(rule(family, wanted)).await?;
    if family == Family::Ip6 {
        connection.replace_route(route_v6(wanted)).await
    } else {
        connection.replace_route(route_v4(wanted)).await
    }
}

/// Removes them; their absence is no error.
pub(super) async fn remove(family: Family, wanted: Tproxy) -> nlink::Result<()> {
    let connection = Connection::<Route>::new()?;
    remove_rules(&connection, family, wanted).await?;
    let removed = if family == Family::Ip6 {
        connection.del_route_if_exists(route_v6(wanted)).await
    } else {
        connection.del_route_if_exists(route_v4(wanted)).await
    };
    removed.map(|_| ())
}

async fn remove_rules(connection: &Connection<Route>, family: Family, wanted: Tproxy) -> nlink::Result<()> {
    for _ in 0..MOST_LEFTOVERS {
        match connection.del_rule_if_exists(rule(family, wanted)).await {
            Ok(true) => {}
            Ok(false) => break,
            // A family that has no rules at all has none of ours.
            Err(error) if error.is_not_supported() => break,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn rule(family: Family, wanted: Tproxy) -> RuleBuilder {
    let rule = if family == Family::Ip6 { RuleBuilder::v6() } else { RuleBuilder::v4() };
    rule.fwmark(wanted.mark).table(wanted.route_table)
}

fn route_v4(wanted: Tproxy) -> Ipv4Route {
    Ipv4Route::new(Ipv4Addr::UNSPECIFIED, 0).dev("lo").route_type(RouteType::Local).table(wanted.route_table)
}

fn route_v6(wanted: Tproxy) -> Ipv6Route {
    Ipv6Route::new(Ipv6Addr::UNSPECIFIED, 0).dev("lo").route_type(RouteType::Local).table(wanted.route_table)
}
