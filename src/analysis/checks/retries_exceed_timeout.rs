//! SGN0005: a timeout that ends the request before the retries that it is given could all take place.

use sagene_api::Duration;
use sagene_api::istio::networking::virtual_service::HttpRoute;

use super::support::words::refer;
use super::{Check, Judge, Run};
use crate::code::Code;
use crate::input::{Input, at};
use crate::message::Message;

pub(super) const CHECK: Check = Check {
    name: "sagene.RetriesExceedTimeoutAnalyzer",
    description: "Timeouts that end requests before their last retry",
    codes: &[Code::RetriesExceedTimeout],
    how: Run::VirtualServices(judge),
};

fn judge(_: &Input) -> Option<Judge<'_>> {
    Some(Box::new(move |object, messages| {
        for (index, route) in object.spec.http.iter().enumerate() {
            let Some((attempts, each, timeout)) = excess(route) else { continue };
            let text = format!(
                "{attempts} retries of {each} each do not fit into the timeout of {timeout}: it ends the request before the last of them."
            );
            let path = at(&format!("spec.http[{index}].retries.perTryTimeout"));
            messages.push(Message::new(Code::RetriesExceedTimeout, refer(object.as_ref()), text).at(path));
        }
    }))
}

fn excess(route: &HttpRoute) -> Option<(i32, Duration, Duration)> {
    let timeout = route.timeout.filter(|timeout| *timeout > Duration::ZERO)?;
    let retries = route.retries.as_ref().filter(|retries| retries.attempts > 0)?;
    let each = retries.per_try_timeout.filter(|each| *each > Duration::ZERO)?;
    let nanos = |time: Duration| i128::from(time.seconds()) * 1_000_000_000 + i128::from(time.subsec_nanos());
    let is_too_long = nanos(each) * i128::from(retries.attempts) > nanos(timeout);
    is_too_long.then_some((retries.attempts, each, timeout))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{findings, texts};
    use super::*;

    fn yaml(route: &str) -> String {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: v}}\nspec:\n  hosts: [a]\n  http:\n  - {route}\n"
        )
    }

    #[test]
    fn retries_that_do_not_fit() {
        let bad = yaml("{timeout: 5s, retries: {attempts: 3, perTryTimeout: 2s}}");
        assert_eq!(findings(&CHECK, &bad), ["SGN0005 VirtualService default/v@7"]);
        assert!(texts(&CHECK, &bad)[0].starts_with("3 retries of 2s each do not fit into the timeout of 5s"));
        for good in [
            "{timeout: 6s, retries: {attempts: 3, perTryTimeout: 2s}}",
            "{retries: {attempts: 3, perTryTimeout: 2s}}",
            "{timeout: 5s, retries: {attempts: 3}}",
            "{timeout: 1s, retries: {attempts: 0, perTryTimeout: 2s}}",
        ] {
            assert!(findings(&CHECK, &yaml(good)).is_empty(), "{good}");
        }
    }
}
