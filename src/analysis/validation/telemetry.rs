//! Rules of Telemetry.

use sagene_api::Object;
use sagene_api::istio::telemetry::{MetricsOverrides, ProviderRef, TagOperation, Telemetry};
use sagene_model::request_attributes::{UnknownName, first_unknown};

use super::common::{attachment, duration};
use super::{Problem, Report, Validate};
use crate::path::FieldPath;

impl Validate for Telemetry {
    fn problems(object: &Object<Self>) -> Vec<Problem> {
        let (spec, mut report) = (&object.spec, Report::new());
        let path = FieldPath::parse("spec");
        attachment(&mut report, spec.selector.as_ref(), spec.target_ref.as_ref(), &spec.target_refs);
        if spec.tracing.len() > 1 {
            report.warning(
                &path.key("tracing"),
                "multiple tracing is not currently supported; the first one counts",
            );
        }
        for (index, tracing) in spec.tracing.iter().enumerate() {
            let path = path.key("tracing").index(index);
            providers(&mut report, &path, &tracing.providers);
            if tracing.providers.len() > 1 {
                report.warning(
                    &path.key("providers"),
                    "multiple providers is not currently supported; the first one counts",
                );
            }
            let share = tracing.random_sampling_percentage.unwrap_or(0.0);
            report.require(
                (0.0..=100.0).contains(&share),
                &path.key("randomSamplingPercentage"),
                format_args!("{share} is out of range; want a number from 0 to 100"),
            );
            for name in tracing.custom_tags.keys().filter(|name| name.is_empty()) {
                report.error(&path.key("customTags").key(name), "a tag needs a name");
            }
        }
        for (index, metrics) in spec.metrics.iter().enumerate() {
            let path = path.key("metrics").index(index);
            providers(&mut report, &path, &metrics.providers);
            for (position, of) in metrics.overrides.iter().enumerate() {
                overrides(&mut report, &path.key("overrides").index(position), of);
            }
            duration(&mut report, &path.key("reportingInterval"), metrics.reporting_interval);
        }
        for (index, logging) in spec.access_logging.iter().enumerate() {
            let path = path.key("accessLogging").index(index);
            providers(&mut report, &path, &logging.providers);
            if let Some(filter) = &logging.filter {
                expression(
                    &mut report,
                    &path.key("filter").key("expression"),
                    &filter.expression,
                    |unknown| match unknown {
                        UnknownName::Attribute(_) => "a condition on it never holds",
                        UnknownName::Function(_) => "proxies will refuse the filter",
                    },
                );
            }
        }
        report.finish()
    }
}

fn providers(report: &mut Report, path: &FieldPath, providers: &[ProviderRef]) {
    for (index, provider) in providers.iter().enumerate() {
        let path = path.key("providers").index(index).key("name");
        report.require(!provider.name.is_empty(), &path, "provider name must be set");
    }
}

fn overrides(report: &mut Report, path: &FieldPath, of: &MetricsOverrides) {
    for (name, tag) in &of.tag_overrides {
        let path = path.key("tagOverrides").key(name);
        match tag.operation {
            TagOperation::Upsert => {
                report.require(
                    !tag.value.is_empty(),
                    &path.key("value"),
                    "value must be set set when operation is UPSERT",
                );
                if !tag.value.is_empty() {
                    let value = path.key("value");
                    expression(report, &value, &tag.value, |_| "the tag will be \"unknown\"");
                }
            }
            TagOperation::Remove => report.require(
                tag.value.is_empty(),
                &path.key("value"),
                "value must not be set when operation is REMOVE",
            ),
        }
    }
}

/// A text that is an expression, of names that proxies know; `otherwise` says what happens where they do not.
pub(super) fn expression(
    report: &mut Report,
    path: &FieldPath,
    text: &str,
    otherwise: impl Fn(&UnknownName) -> &'static str,
) {
    if let Err(error) = sagene_cel::check_syntax(text) {
        return report.error(path, format!("{text:?} is no valid CEL expression: {error}"));
    }
    let Some(unknown) = first_unknown(text) else { return };
    let what = match &unknown {
        UnknownName::Attribute(name) => format!("{name} is no attribute that proxies know"),
        UnknownName::Function(name) => format!("{name}() is no function that proxies know"),
    };
    report.warning(path, format!("{text:?}: {what}; {}", otherwise(&unknown)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_names_its_field() {
        let found = |spec: &str| -> Vec<String> {
            let spec: Telemetry = serde_yaml::from_str(spec).expect("a spec");
            Telemetry::problems(&Object::new("n", "t", spec)).iter().map(|it| it.path.to_string()).collect()
        };
        for (bad, path) in [
            ("{tracing: [{}, {}]}", "spec.tracing"),
            ("{tracing: [{providers: [{name: a}, {name: b}]}]}", "spec.tracing[0].providers"),
            ("{tracing: [{randomSamplingPercentage: 101}]}", "spec.tracing[0].randomSamplingPercentage"),
            ("{metrics: [{providers: [{name: ''}]}]}", "spec.metrics[0].providers[0].name"),
            (
                "{metrics: [{overrides: [{tagOverrides: {a: {operation: UPSERT}}}]}]}",
                "spec.metrics[0].overrides[0].tagOverrides.a.value",
            ),
            (
                "{metrics: [{overrides: [{tagOverrides: {a: {operation: REMOVE, value: b}}}]}]}",
                "spec.metrics[0].overrides[0].tagOverrides.a.value",
            ),
            (
                "{accessLogging: [{filter: {expression: 'response.code >='}}]}",
                "spec.accessLogging[0].filter.expression",
            ),
            (
                "{metrics: [{overrides: [{tagOverrides: {a: {value: request.nope}}}]}]}",
                "spec.metrics[0].overrides[0].tagOverrides.a.value",
            ),
            (
                "{accessLogging: [{filter: {expression: 'nope(request.host)'}}]}",
                "spec.accessLogging[0].filter.expression",
            ),
            ("{selector: {matchLabels: {a: b}}, targetRefs: [{kind: Service, name: a}]}", "spec"),
        ] {
            assert!(found(bad).contains(&path.to_owned()), "{bad} → {:?}", found(bad));
        }
        for good in [
            "{accessLogging: [{filter: {expression: 'response.code >= 400 || connection.mtls && xds.cluster_name.contains(\"a\")'}}]}",
            "{metrics: [{overrides: [{tagOverrides: {a: {value: request.host}, b: {operation: REMOVE}}}], reportingInterval: 5s}]}",
            "{tracing: [{randomSamplingPercentage: 0.5, providers: [{name: a}]}]}",
        ] {
            assert!(found(good).is_empty(), "{good} → {:?}", found(good));
        }
    }
}
