//! Relative references of playlists (RFC 3986 §5, without queries of the base).

/// The path (and query) that `reference` means inside the document at `base`; `None` = another host.
pub(super) fn resolve(base: &str, reference: &str) -> Option<String> {
    if reference.contains("://") || reference.starts_with("//") {
        return None;
    }
    let base = base.split(['?', '#']).next().unwrap_or_default();
    let reference = reference.split('#').next().unwrap_or_default();
    let (path, query) = match reference.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (reference, None),
    };
    let joined = if path.starts_with('/') {
        path.to_owned()
    } else if path.is_empty() {
        base.to_owned()
    } else {
        let folder = base.rfind('/').map_or("/", |slash| &base[..=slash]);
        format!("{folder}{path}")
    };
    let mut kept: Vec<&str> = Vec::new();
    let mut pieces = joined.trim_start_matches('/').split('/').peekable();
    while let Some(piece) = pieces.next() {
        let last = pieces.peek().is_none();
        match piece {
            "." | ".." => {
                if piece == ".." {
                    kept.pop();
                }
                if last {
                    kept.push("");
                }
            }
            piece => kept.push(piece),
        }
    }
    let path = format!("/{}", kept.join("/"));
    Some(match query {
        Some(query) => format!("{path}?{query}"),
        None => path,
    })
}

#[cfg(test)]
mod tests {
    use super::resolve;

    #[test]
    fn references_are_resolved_as_a_browser_would() {
        let base = "/kites/index.m3u8?sid=1";
        let table = [
            ("360p.m3u8", "/kites/360p.m3u8"),
            ("abc/360p/7.m4s?x=1", "/kites/abc/360p/7.m4s?x=1"),
            ("./a", "/kites/a"),
            ("../a", "/a"),
            ("../../../a", "/a"),
            ("/a/./b/../c", "/a/c"),
            ("a/..", "/kites/"),
            ("", "/kites/index.m3u8"),
        ];
        for (reference, expected) in table {
            assert_eq!(
                resolve(base, reference).as_deref(),
                Some(expected),
                "{reference}"
            );
        }
        assert_eq!(resolve(base, "http://elsewhere/a"), None);
        assert_eq!(resolve(base, "//elsewhere/a"), None);
    }
}
