//! The bodies of requests: PROPFIND, PROPPATCH, REPORT, MKCALENDAR, MKCOL, LOCK.

use convoke::dav::xml::{
    DAV, Element, Filter, Members, PROLOG, PropRequest, TimeRange, Wanted, Writer, XmlLimits, parse, read_creation,
    read_limit, read_lock, read_update,
};

const LIMITS: XmlLimits = XmlLimits { bytes: 64 << 10, depth: 16 };
/// The document that is written has a root more, and longer names.
const WIDER: XmlLimits = XmlLimits { bytes: 64 << 20, depth: 17 };

pub fn check(data: &[u8]) {
    let members: Vec<Element> = Members::new(data, LIMITS).filter_map(Result::ok).collect();
    let Ok(Some(root)) = parse(data, LIMITS) else { return };
    assert!(depth(&root) <= LIMITS.depth, "deeper than the limit");
    let inner: Vec<&Element> = root.elements().collect();
    assert_eq!(members.iter().collect::<Vec<_>>(), inner, "read member by member, the document is another");
    comes_back(&root);
    typed(&root);
}

fn depth(element: &Element) -> usize {
    1 + element.elements().map(depth).max().unwrap_or(0)
}

/// What is written in an answer is read as what it was.
fn comes_back(root: &Element) {
    let mut w = Writer::starting(PROLOG);
    w.tree(root);
    w.close("d:multistatus");
    let text = w.take();
    match parse(text.as_bytes(), WIDER) {
        Ok(Some(again)) => assert_eq!(again.elements().next(), Some(root), "written as\n{text}"),
        // Each namespace takes a declaration of its own.
        _ if declarations(root) > 8 => {}
        other => panic!("{other:?} from\n{text}"),
    }
}

/// The most attributes with a namespace of their own that are in scope at once.
fn declarations(element: &Element) -> usize {
    element.attributes.len() + 1 + element.elements().map(declarations).max().unwrap_or(0)
}

fn typed(root: &Element) {
    let requests = [PropRequest::read_propfind(Some(root)), PropRequest::read_report(root)];
    for request in requests.into_iter().flatten() {
        if let Wanted::These(names) | Wanted::All(names) = &request.wanted {
            assert!(names.iter().enumerate().all(|(n, name)| !names[..n].contains(name)), "a property twice");
        }
    }
    for update in [read_update(Some(root)), read_creation(Some(root))].into_iter().flatten() {
        let named = root.elements().flat_map(|i| i.children(DAV, "prop")).flat_map(Element::elements).count();
        assert!(update.len() <= named, "more changes than properties");
    }
    if let Ok(range) = TimeRange::read_free_busy(root) {
        assert!(range.bounds().0 < range.bounds().1);
    }
    let _ = (read_lock(root), read_limit(root), Filter::read_calendar(root), Filter::read_card(root));
}
