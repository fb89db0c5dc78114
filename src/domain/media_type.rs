//! Media types, such as `application/json`.

/// Returns a media type without its parameters.
pub(crate) fn essence(media_type: &str) -> &str {
    media_type.split(';').next().unwrap_or_default().trim()
}

/// Returns whether a media type without its parameters is JSON or based on it (RFC 6839 section 3.1).
pub(crate) fn is_json(essence: &str) -> bool {
    let essence = essence.to_ascii_lowercase();
    essence == "application/json" || essence.starts_with("application/") && essence.ends_with("+json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_recognised_by_its_name_or_its_suffix() {
        for essence in [
            "application/json",
            "Application/JSON",
            "application/cloudevents+json",
            "application/merge-patch+JSON",
        ] {
            assert!(is_json(essence), "{essence}");
        }
        for essence in [
            "",
            "json",
            "+json",
            "text/json",
            "image/x+json",
            "application/jsonp",
            "application/json5",
            "application/x+json+xml",
            "application/jsön",
            "application/\u{20ac}",
        ] {
            assert!(!is_json(essence), "{essence}");
        }
    }
}
