//! IST0130, IST0131: routes after one that takes everything, and matches that an earlier route has already.

use super::Check;
use crate::code::Code;
use crate::input::{Input, reference};
use crate::message::Message;
use crate::validation::unreachable;

pub(crate) const CHECK: Check = Check {
    name: "schema.ValidationAnalyzer.VirtualService.Routes",
    description: "HTTP routes and matches that no request reaches",
    codes: &[Code::VirtualServiceUnreachableRule, Code::VirtualServiceIneffectiveMatch],
    run,
};

fn run(input: &Input) -> Vec<Message> {
    let mut messages = Vec::new();
    for service in input.snapshot.virtual_services.iter() {
        let problems = unreachable(&service.spec).into_iter();
        messages.extend(problems.map(|it| Message::new(it.code, reference(service), it.message).at(it.path)));
    }
    messages
}

#[cfg(test)]
mod tests {
    use super::super::testing::findings;
    use super::*;

    fn found(routes: &str) -> Vec<String> {
        let head = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: v}\nspec:\n  hosts: [a]\n  http:\n";
        findings(&CHECK, &format!("{head}{routes}"))
    }

    #[test]
    fn what_comes_after_everything() {
        assert_eq!(
            found("  - route: []\n  - match: [{uri: {prefix: /x}}]\n"),
            ["IST0130 VirtualService default/v@8"]
        );
        assert_eq!(
            found("  - match: [{uri: {prefix: /}}]\n  - route: []\n"),
            ["IST0130 VirtualService default/v@8"]
        );
        assert!(found("  - match: [{uri: {prefix: /x}}]\n  - route: []\n").is_empty());
    }

    #[test]
    fn connections_too() {
        let head = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: v}\nspec:\n  hosts: [a, b]\n";
        let found = |routes: &str| findings(&CHECK, &format!("{head}{routes}"));
        assert_eq!(
            found("  tcp:\n  - match: [{port: 1}]\n  - match: [{port: 1}, {port: 2}]\n"),
            ["IST0131 VirtualService default/v@8"]
        );
        assert_eq!(
            found("  tls:\n  - match: [{sniHosts: [a, b]}]\n  - match: [{sniHosts: [b], port: 443}]\n"),
            ["IST0130 VirtualService default/v@8"]
        );
        assert!(found("  tls:\n  - match: [{sniHosts: [a], port: 443}]\n  - match: [{sniHosts: [a, b], port: 443}]\n").is_empty());
    }

    #[test]
    fn matches_that_an_earlier_route_has() {
        assert_eq!(
            found(
                "  - match: [{uri: {prefix: /x}}]\n  - match: [{uri: {exact: /x/y}}, {uri: {prefix: /z}}]\n"
            ),
            ["IST0131 VirtualService default/v@8"]
        );
        assert_eq!(
            found("  - match:\n    - {uri: {prefix: /x}}\n    - {uri: {prefix: /x}}\n"),
            ["IST0131 VirtualService default/v@9"]
        );
        assert_eq!(
            found("  - match: [{uri: {prefix: /x}}]\n  - match: [{uri: {prefix: /x}}]\n"),
            ["IST0130 VirtualService default/v@8"]
        );
        for near in [
            "  - match: [{uri: {prefix: /x}, headers: {a: {exact: b}}}]\n  - match: [{uri: {prefix: /x}}]\n",
            "  - match: [{uri: {exact: /x}}]\n  - match: [{uri: {prefix: /x}}]\n",
            "  - match: [{uri: {prefix: /x}}, {uri: {prefix: /x/y}}]\n",
            "  - match: [{uri: {prefix: /x}, gateways: [g]}]\n  - match: [{uri: {prefix: /x}}]\n",
            "  - match: [{uri: {prefix: /x}, port: 80}]\n  - match: [{uri: {prefix: /x}, port: 90}]\n",
        ] {
            assert!(found(near).is_empty(), "{near}");
        }
    }
}
