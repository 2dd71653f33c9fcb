//! The page's markup.

use serde_json::Value;

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;margin:0;color:#1b1b1b;background:#f6f7f9}header{display:flex;align-items:center;\
gap:1rem;padding:.8rem 2rem;background:#123;color:#fff}header span{flex:1;font-weight:600}main{max-width:60rem;margin:0 auto;padding:1rem 2rem}\
.columns{display:grid;grid-template-columns:1fr 1fr;gap:2rem}dt{color:#667}dd{margin:0 0 .4rem}blockquote{margin:0 0 1.4rem;padding:.8rem 1rem;\
background:#fff;border-left:4px solid #9ab}.glyphicon-star{font-size:1.2rem}.error{padding:.8rem 1rem;background:#fde8e8;border-left:4px solid #c00}";

/// Text made safe between tags and in attributes.
fn escape(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut safe, character| {
        match character {
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '&' => safe.push_str("&amp;"),
            '"' => safe.push_str("&quot;"),
            other => safe.push(other),
        }
        safe
    })
}

fn text(value: &Value, key: &str) -> String {
    match &value[key] {
        Value::String(text) => escape(text),
        Value::Null => String::new(),
        other => escape(&other.to_string()),
    }
}

fn document(user: Option<&str>, body: &str) -> String {
    let session = match user {
        Some(name) => format!("<b>{}</b> <a style=\"color:#fff\" href=\"logout\">sign out</a>", escape(name)),
        None => "<form method=\"post\" action=\"login\"><input name=\"username\" placeholder=\"User Name\" aria-label=\"User Name\"> \
                 <input name=\"passwd\" type=\"password\" placeholder=\"Password\" aria-label=\"Password\"> <button>Sign in</button></form>"
            .to_owned(),
    };
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n  <head>\n    <meta charset=\"utf-8\">\n    <title>Simple Bookstore App</title>\n    \
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n    <style>{STYLE}</style>\n  </head>\n  <body>\n    \
         <header><span>BookInfo Sample</span>{session}</header>\n    <main>\n{body}\n    </main>\n  </body>\n</html>\n"
    )
}

/// The entrance.
pub(super) fn index() -> String {
    document(
        None,
        "      <h1>Bookinfo</h1>\n      <p>One page from four services, written to be taken apart.</p>\n      \
         <p><a href=\"/productpage?u=normal\">Normal user</a> · <a href=\"/productpage?u=test\">Test user</a></p>",
    )
}

/// The product with what the other services said of it; an `Err` holds the words to show instead.
pub(super) fn product(
    product: &Value,
    details: Result<Value, String>,
    reviews: Result<Value, String>,
    user: Option<&str>,
) -> String {
    // The description is markup of our own.
    let description = product["descriptionHtml"].as_str().unwrap_or_default();
    let body = format!(
        "      <h1>{}</h1>\n      <p>{description}</p>\n      <div class=\"columns\">\n        <section>{}</section>\n        \
         <section>{}</section>\n      </div>",
        text(product, "title"),
        details_section(details),
        reviews_section(reviews),
    );
    document(user, &body)
}

fn error(title: &str, message: &str) -> String {
    format!("<h2>{title}</h2><p class=\"error\">{}</p>", escape(message))
}

fn details_section(details: Result<Value, String>) -> String {
    let book = match details {
        Ok(book) => book,
        Err(message) => return error("Error fetching product details!", &message),
    };
    let facts = [
        ("Type", "type"),
        ("Pages", "pages"),
        ("Publisher", "publisher"),
        ("Language", "language"),
        ("ISBN-10", "ISBN-10"),
        ("ISBN-13", "ISBN-13"),
    ];
    let rows: String =
        facts.iter().map(|(name, key)| format!("<dt>{name}</dt><dd>{}</dd>", text(&book, key))).collect();
    format!("<h2>Book Details</h2><dl>{rows}</dl>")
}

fn reviews_section(reviews: Result<Value, String>) -> String {
    let answer = match reviews {
        Ok(answer) => answer,
        Err(message) => return error("Error fetching product reviews!", &message),
    };
    let entries: String =
        answer["reviews"].as_array().map_or_else(String::new, |entries| entries.iter().map(review).collect());
    format!("<h2>Book Reviews</h2>{entries}<p>Reviews served by: <u>{}</u></p>", text(&answer, "podname"))
}

fn review(entry: &Value) -> String {
    format!(
        "<blockquote><p>{}</p><small>{}</small>{}</blockquote>",
        text(entry, "text"),
        text(entry, "reviewer"),
        stars(&entry["rating"])
    )
}

fn stars(rating: &Value) -> String {
    if let Some(message) = rating["error"].as_str() {
        return format!("<p><i>{}</i></p>", escape(message));
    }
    let Some(count) = rating["stars"].as_u64() else { return String::new() };
    let color = text(rating, "color");
    let glyphs: String = (0..5).map(|index| if index < count.min(5) { '★' } else { '☆' }).collect();
    let full = "<span class=\"glyphicon glyphicon-star\" hidden></span>".repeat(count.min(5) as usize);
    format!("<p style=\"color:{color}\" title=\"{count} of 5\">{glyphs}{full}</p>")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn shows_stars_in_their_color_and_words_where_a_service_is_missing() {
        let reviews = json!({ "podname": "reviews-v2-x", "reviews": [
            { "reviewer": "Reviewer1", "text": "<script>", "rating": { "stars": 5, "color": "black" } },
            { "reviewer": "Reviewer2", "text": "fine", "rating": { "error": "Ratings service is currently unavailable" } },
        ]});
        let page = product(
            &super::super::productpage::product(),
            Err("Sorry, details.".to_owned()),
            Ok(reviews),
            Some("jason"),
        );
        assert_eq!(page.matches("glyphicon-star\"").count(), 5);
        for expected in [
            "color:black",
            "Ratings service is currently unavailable",
            "Sorry, details.",
            "&lt;script&gt;",
            "<b>jason</b>",
            "<title>Simple Bookstore App</title>",
        ] {
            assert!(page.contains(expected), "{expected}");
        }
    }
}
