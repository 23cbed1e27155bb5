//! The page from the operator's Service and the video from the viewers' Service, in a real browser.

use std::time::Duration;

use banyan_tests::Stopwatch;
use banyan_tests::browser::{Browser, is_possible};

use super::{SPACE, SYSTEM, campus};

#[test]
fn chromium_plays_the_page_of_the_cluster() {
    let time = Stopwatch::start("page");
    let test = "chromium_plays_the_page_of_the_cluster";
    let Some(campus) = campus(test) else {
        return;
    };
    if !is_possible(test) {
        return;
    }
    let before = campus.members();
    // The browser has no cluster DNS, so viewers are told the Service by its address. No pod is concerned.
    let service = format!("http://{}", campus.service_ip(SPACE, "campus"));
    let public = |url: &str| {
        campus.patch_topology(&format!(r#"{{"spec":{{"edge":{{"publicURL":{url}}}}}}}"#));
    };
    public(&format!("{service:?}"));
    let bound = Duration::from_secs(60);
    let page = format!(
        "http://{}:8080/topologies/{SPACE}/campus/",
        campus.service_ip(SYSTEM, "banyan")
    );
    campus.wait_until("the page tells the Service's address", bound, || {
        campus
            .fetch(&format!("{page}api/topology"))
            .is_some_and(|told| told.contains(&format!("{service:?}")))
    });
    time.lap("published");
    let arguments = ["--stream", "bars", "--for", "12"];
    Browser::open(campus.inside("node"), &page, "cluster", &arguments).judge(test);
    public("null");
    assert_eq!(before, campus.members(), "pods before and after");
}
