//! SGN0004: weights that are meant as percentages and do not add to 100. They are shares of their sum, so each destination gets another
//! part of the traffic than is written there.

use smallvec::SmallVec;

use super::support::words::{list, refer};
use super::{Check, Judge, Run};
use crate::code::Code;
use crate::input::{Input, at};
use crate::message::Message;

pub(super) const CHECK: Check = Check {
    name: "sagene.RouteWeightsAnalyzer",
    description: "Weights that look like percentages and do not add to 100",
    codes: &[Code::WeightsDoNotAddUp],
    how: Run::VirtualServices(judge),
};

fn judge(_: &Input) -> Option<Judge<'_>> {
    Some(Box::new(move |object, messages| {
        let http = object.spec.http.iter().enumerate().map(|(index, route)| {
            ("http", index, route.route.iter().map(|it| it.weight).collect::<SmallVec<[i32; 8]>>())
        });
        let tls = object.spec.tls.iter().enumerate().map(|(index, route)| {
            ("tls", index, route.route.iter().map(|it| it.weight).collect::<SmallVec<[i32; 8]>>())
        });
        let tcp = object.spec.tcp.iter().enumerate().map(|(index, route)| {
            ("tcp", index, route.route.iter().map(|it| it.weight).collect::<SmallVec<[i32; 8]>>())
        });
        let all = http.chain(tls).chain(tcp);
        for (protocol, index, weights) in all.filter(|(.., weights)| are_off(weights)) {
            let sum: i64 = weights.iter().copied().map(i64::from).sum();
            let text = format!(
                "The weights {} add to {sum}, not to 100: they are shares of {sum}, and destinations without weight get nothing.",
                list(&weights)
            );
            let path = at(&format!("spec.{protocol}[{index}].route[0].weight"));
            messages.push(Message::new(Code::WeightsDoNotAddUp, refer(object.as_ref()), text).at(path));
        }
    }))
}

/// Near 100 without being 100, or large steps of ten with a destination left out: nobody writes such shares on purpose.
fn are_off(weights: &[i32]) -> bool {
    if weights.len() < 2 || weights.iter().any(|weight| *weight < 0) {
        return false;
    }
    let sum: i64 = weights.iter().copied().map(i64::from).sum();
    let is_near = (90..=110).contains(&sum) && sum != 100;
    let left_out =
        (50..100).contains(&sum) && weights.contains(&0) && weights.iter().all(|weight| weight % 10 == 0);
    is_near || left_out
}

#[cfg(test)]
mod tests {
    use super::super::testing::{findings, texts};
    use super::*;

    fn yaml(weights: &[&str]) -> String {
        let routes: Vec<String> =
            weights.iter().map(|weight| format!("{{destination: {{host: a}}{weight}}}")).collect();
        format!(
            "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: v}}\nspec:\n  hosts: [a]\n  http:\n  - route: [{}]\n",
            routes.join(", ")
        )
    }

    #[test]
    fn percentages_that_are_none() {
        assert_eq!(
            findings(&CHECK, &yaml(&[", weight: 90", ", weight: 20"])),
            ["SGN0004 VirtualService default/v@7"]
        );
        assert!(
            texts(&CHECK, &yaml(&[", weight: 80", ""]))[0]
                .starts_with("The weights [80 0] add to 80, not to 100")
        );
        for good in [
            &[", weight: 90", ", weight: 10"][..],
            &[", weight: 100", ""],
            &[", weight: 1", ", weight: 3"],
            &[", weight: 1", ", weight: 0"],
            &[", weight: 99"],
            &[""],
        ] {
            assert!(findings(&CHECK, &yaml(good)).is_empty(), "{good:?}");
        }
    }
}
