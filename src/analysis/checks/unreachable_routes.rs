//! IST0130, IST0131: routes after one without conditions, and matches that an earlier route has already. SGN0003: what an earlier route
//! takes in some other way, of which Istio says nothing.

use super::{Check, Judge, Run};
use crate::code::Code;
use crate::input::{Input, reference};
use crate::message::Message;
use crate::validation::unreachable;

pub(crate) const CHECK: Check = Check {
    name: "schema.ValidationAnalyzer.VirtualService.Routes",
    description: "HTTP routes and matches that no request reaches",
    codes: &[
        Code::VirtualServiceUnreachableRule,
        Code::VirtualServiceIneffectiveMatch,
        Code::RouteNeverMatches,
    ],
    how: Run::VirtualServices(judge),
};

fn judge(_: &Input) -> Option<Judge<'_>> {
    Some(Box::new(move |service, messages| {
        let problems = unreachable(&service.spec).into_iter();
        messages.extend(problems.map(|it| Message::new(it.code, reference(service), it.message).at(it.path)));
    }))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{findings, texts};
    use super::*;

    fn found(routes: &str) -> Vec<String> {
        let head = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: v}\nspec:\n  hosts: [a]\n  http:\n";
        findings(&CHECK, &format!("{head}{routes}"))
    }

    /// Code and line alone.
    fn short(findings: Vec<String>) -> Vec<String> {
        findings.iter().map(|finding| finding.replace(" VirtualService default/v", "")).collect()
    }

    #[test]
    fn what_comes_after_a_route_without_conditions() {
        let head = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: v}\nspec:\n  hosts: [a]\n  http:\n";
        assert_eq!(
            texts(
                &CHECK,
                &format!("{head}  - route: []\n  - match: [{{uri: {{prefix: /x}}}}]\n  - name: b\n")
            ),
            [
                "VirtualService rule #1 not used (route without matches defined before).",
                "VirtualService rule \"b\" not used (only the last rule can have no matches)."
            ]
        );
        assert!(found("  - match: [{uri: {prefix: /x}}]\n  - route: []\n").is_empty());
    }

    #[test]
    fn connections_too() {
        let head = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: v}\nspec:\n  hosts: [a, b]\n";
        let found = |routes: &str| short(findings(&CHECK, &format!("{head}{routes}")));
        assert_eq!(
            found("  tcp:\n  - match: [{port: 1}]\n  - match: [{port: 1}, {port: 2}]\n"),
            ["IST0131@8"]
        );
        assert_eq!(found("  tcp:\n  - route: []\n  - match: [{port: 1}]\n"), ["IST0130@8"]);
        assert!(found("  tls:\n  - match: [{sniHosts: [a], port: 443}]\n  - match: [{sniHosts: [a, b], port: 443}]\n").is_empty());
    }

    #[test]
    fn matches_that_an_earlier_route_has() {
        let found = |routes: &str| short(found(routes));
        assert_eq!(
            found("  - match:\n    - {uri: {prefix: /x}}\n    - {uri: {prefix: /x}, name: b}\n"),
            ["IST0131@9"]
        );
        let twice = "  - match: [{uri: {prefix: /x}}]\n  - match: [{uri: {prefix: /x}}]\n";
        assert_eq!(found(twice), ["IST0130@8", "IST0131@8"]);
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

    #[test]
    fn prefixes_within_an_earlier_prefix() {
        let head = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: v}\nspec:\n  hosts: [a]\n  http:\n";
        let routes =
            "  - match: [{uri: {prefix: /x}}]\n  - name: r\n    match: [{uri: {prefix: /x/y}, name: m}]\n";
        assert_eq!(
            texts(&CHECK, &format!("{head}{routes}")),
            [
                "VirtualService rule \"r\" match \"m\" of prefix /x/y is not used (duplicate/overlapping match in rule #0 of prefix /x on #0)."
            ]
        );
        for near in [
            "  - match: [{uri: {prefix: /x}, method: {exact: POST}}]\n  - match: [{uri: {prefix: /x/y}}]\n",
            "  - match: [{uri: {prefix: /x/y}}]\n  - match: [{uri: {prefix: /x}}]\n",
        ] {
            assert!(found(near).is_empty(), "{near}");
        }
    }

    #[test]
    fn what_an_earlier_route_takes_in_some_other_way() {
        let found = |routes: &str| short(found(routes));
        for (routes, line) in [
            ("  - match: [{uri: {prefix: /x}}]\n  - match: [{uri: {exact: /x/y}}, {uri: {prefix: /z}}]\n", 8),
            (
                "  - match: [{uri: {prefix: /x}}]\n  - match: [{uri: {prefix: /x/y}, headers: {a: {exact: b}}}]\n",
                8,
            ),
            ("  - match: [{uri: {prefix: /}}]\n  - route: []\n", 8),
        ] {
            assert_eq!(found(routes), [format!("SGN0003@{line}")], "{routes}");
        }
        let head = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: v}\nspec:\n  hosts: [a, b]\n";
        let hosts = "  tls:\n  - match: [{sniHosts: [a, b]}]\n  - match: [{sniHosts: [b], port: 443}]\n";
        assert_eq!(
            texts(&CHECK, &format!("{head}{hosts}")),
            ["This condition matches no request: rule #0 takes them all before."]
        );
    }
}
