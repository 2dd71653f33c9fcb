//! `-o go-template`: the part of Go's templates that is written for objects: fields, variables, `if`, `range`, `with`, pipelines and the
//! usual functions. What is not known is an error that names it.

pub(super) mod functions;
mod parse;

use serde_json::Value;

use functions::{call, is_true, printed};
use parse::{Node, Operand, Pipeline, parse};

/// Renders a template on a document.
pub(super) fn render(template: &str, document: &Value) -> Result<String, String> {
    let nodes = parse(template).map_err(|problem| format!("error parsing template: {problem}"))?;
    let mut scope = Scope { variables: vec![(String::new(), document.clone())], out: String::new() };
    scope.nodes(&nodes, document).map_err(|problem| format!("error executing template: {problem}"))?;
    Ok(scope.out)
}

struct Scope {
    /// The innermost last.
    variables: Vec<(String, Value)>,
    out: String,
}

impl Scope {
    fn nodes(&mut self, nodes: &[Node], dot: &Value) -> Result<(), String> {
        let depth = self.variables.len();
        for node in nodes {
            self.node(node, dot)?;
        }
        self.variables.truncate(depth);
        Ok(())
    }

    fn node(&mut self, node: &Node, dot: &Value) -> Result<(), String> {
        match node {
            Node::Text(text) => self.out.push_str(text),
            Node::Print(pipeline) => {
                let value = self.pipeline(pipeline, dot)?;
                if pipeline.variables.is_empty() {
                    self.out.push_str(&printed(&value));
                } else {
                    self.set(pipeline, value)?;
                }
            }
            Node::If(condition, then, otherwise) => self.scoped(|scope| {
                let value = scope.pipeline(condition, dot)?;
                let chosen = if is_true(&value) { then } else { otherwise };
                scope.set(condition, value)?;
                scope.nodes(chosen, dot)
            })?,
            Node::With(condition, then, otherwise) => self.scoped(|scope| {
                let value = scope.pipeline(condition, dot)?;
                scope.set(condition, value.clone())?;
                if is_true(&value) { scope.nodes(then, &value) } else { scope.nodes(otherwise, dot) }
            })?,
            Node::Range(over, body, otherwise) => self.range(over, body, otherwise, dot)?,
        }
        Ok(())
    }

    /// Variables set inside are forgotten after it.
    fn scoped(&mut self, body: impl FnOnce(&mut Self) -> Result<(), String>) -> Result<(), String> {
        let depth = self.variables.len();
        body(self)?;
        self.variables.truncate(depth);
        Ok(())
    }

    fn range(
        &mut self,
        over: &Pipeline,
        body: &[Node],
        otherwise: &[Node],
        dot: &Value,
    ) -> Result<(), String> {
        let items: Vec<(Value, Value)> = match self.pipeline(over, dot)? {
            Value::Array(list) => {
                list.into_iter().enumerate().map(|(index, item)| (Value::from(index), item)).collect()
            }
            Value::Object(map) => {
                let mut items: Vec<(String, Value)> = map.into_iter().collect();
                items.sort_by(|left, right| left.0.cmp(&right.0));
                items.into_iter().map(|(key, item)| (Value::from(key), item)).collect()
            }
            Value::Null => Vec::new(),
            other => return Err(format!("range can't iterate over {}", printed(&other))),
        };
        if items.is_empty() {
            return self.nodes(otherwise, dot);
        }
        for (place, item) in items {
            self.scoped(|scope| {
                match over.variables.as_slice() {
                    [element] => scope.variables.push((element.clone(), item.clone())),
                    [index, element] => {
                        scope.variables.push((index.clone(), place));
                        scope.variables.push((element.clone(), item.clone()));
                    }
                    _ => {}
                }
                scope.nodes(body, &item)
            })?;
        }
        Ok(())
    }

    fn set(&mut self, pipeline: &Pipeline, value: Value) -> Result<(), String> {
        let Some(name) = pipeline.variables.first() else { return Ok(()) };
        if !pipeline.assigns {
            self.variables.push((name.clone(), value));
            return Ok(());
        }
        let known = self.variables.iter_mut().rev().find(|(known, _)| known == name);
        known.ok_or_else(|| format!("undefined variable \"${name}\""))?.1 = value;
        Ok(())
    }

    fn pipeline(&self, pipeline: &Pipeline, dot: &Value) -> Result<Value, String> {
        let mut piped = None;
        for call in &pipeline.calls {
            piped = Some(self.call(call, piped, dot)?);
        }
        Ok(piped.unwrap_or(Value::Null))
    }

    fn call(&self, words: &[Operand], piped: Option<Value>, dot: &Value) -> Result<Value, String> {
        let Some((head, rest)) = words.split_first() else { return Ok(Value::Null) };
        let Operand::Function(name) = head else {
            return match (rest, piped) {
                ([], None) => self.operand(head, dot),
                _ => Err("can't give arguments to what is no function".to_owned()),
            };
        };
        let mut arguments = rest.iter().map(|word| self.operand(word, dot)).collect::<Result<Vec<_>, _>>()?;
        arguments.extend(piped);
        call(name, &arguments)
    }

    fn operand(&self, operand: &Operand, dot: &Value) -> Result<Value, String> {
        match operand {
            Operand::Literal(value) => Ok(value.clone()),
            Operand::Field(names) => field(dot, names),
            Operand::Variable(name, names) => {
                let found = self.variables.iter().rev().find(|(known, _)| known == name);
                let (_, value) = found.ok_or_else(|| format!("undefined variable \"${name}\""))?;
                field(value, names)
            }
            Operand::Function(name) => call(name, &[]),
            Operand::Group(inner, names) => field(&self.pipeline(inner, dot)?, names),
        }
    }
}

/// A field of a field; what is not there is nothing, but a field of a text is an error.
fn field(value: &Value, names: &[String]) -> Result<Value, String> {
    let mut current = value;
    for name in names {
        current = match current {
            Value::Object(map) => map.get(name).unwrap_or(&Value::Null),
            Value::Null => return Err(format!("nil pointer evaluating interface {{}}.{name}")),
            other => return Err(format!("can't evaluate field {name} in {}", printed(other))),
        };
    }
    Ok(current.clone())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn templates_render_as_gos() {
        let document = json!({"kind": "List", "items": [
            {"metadata": {"name": "a", "labels": {"app": "x", "version": "v1"}}, "spec": {"replicas": 2}},
            {"metadata": {"name": "b"}, "data": {"key": "aGVsbG8="}}]});
        for (template, expected) in [
            ("{{range .items}}{{.metadata.name}}{{\"\\n\"}}{{end}}", "a\nb\n"),
            ("{{ range $i, $e := .items }}{{ $i }}={{ $e.metadata.name }} {{ end }}", "0=a 1=b "),
            ("{{(index .items 0).metadata.name}}", "a"),
            ("{{index (index .items 0).metadata.labels \"app\"}}", "x"),
            ("{{range .items}}{{if .spec}}{{.spec.replicas}}{{else}}-{{end}}{{end}}", "2-"),
            ("{{with index .items 1}}{{.data.key | base64decode}}{{end}}", "hello"),
            (
                "{{range $k, $v := (index .items 0).metadata.labels}}{{$k}}:{{$v}},{{end}}",
                "app:x,version:v1,",
            ),
            ("a {{- /* gone */ -}} b", "ab"),
            ("{{len .items}} {{.missing}} {{printf \"%s-%d\" .kind 3}}", "2 <no value> List-3"),
            ("{{if eq .kind \"Pod\"}}1{{else if and .items (ne .kind \"x\")}}2{{end}}", "2"),
            ("{{$n := .kind}}{{range .none}}x{{else}}{{$n}}{{end}}", "List"),
            ("{{range .items}}{{range $k, $v := .metadata.labels}}{{end}}{{$.kind}}{{end}}", "ListList"),
            ("{{(index .items 0).metadata.labels}}", "map[app:x version:v1]"),
        ] {
            assert_eq!(render(template, &document).as_deref(), Ok(expected), "{template}");
        }
        for (template, problem) in [
            ("{{range .items}}", "without {{end}}"),
            ("{{unknown .}}", "function \"unknown\" not defined"),
            ("{{template \"x\"}}", "{{template}} is not supported"),
            ("{{.kind.name}}", "can't evaluate field name"),
            ("{{.a", "not closed"),
        ] {
            assert!(render(template, &document).is_err_and(|error| error.contains(problem)), "{template}");
        }
    }
}
