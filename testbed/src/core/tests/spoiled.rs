//! One spoiled export for every rule of the checker.

use super::*;

/// The faults of scenario B with one text replaced in one file.
fn spoil(path: &str, from: &str, to: &str) -> Vec<String> {
    let mut exported = Exported::of(EXAMPLES[1].1, "/srv/core");
    let file = exported
        .files
        .iter_mut()
        .find(|file| file.path == path)
        .unwrap();
    let text = String::from_utf8(file.contents.clone()).unwrap();
    assert!(text.contains(from), "{path} has no {from:?}");
    file.contents = text.replacen(from, to, 1).into_bytes();
    check::export(&exported.files)
}

#[test]
fn every_trap_of_core_has_a_rule_that_sees_it() {
    let xml = "scenario.xml";
    let services = "banyan_services/banyan.py";
    let cases = [
        (xml, "</scenario>", "", "scenario.xml: line"),
        (
            xml,
            "id=\"1\"",
            "id=\"2\"",
            "its identifier is missing, 0 or another's",
        ),
        (
            xml,
            "name=\"rp\"",
            "name=\"r_p\"",
            "a name is 1 to 32 letters, digits and dashes, each once",
        ),
        (
            xml,
            "x=\"280.0\"",
            "x=\"0.0\"",
            "a position needs x and y of at least 1",
        ),
        (
            xml,
            "x=\"280.0\"",
            "lat=\"1.0\" x=\"280.0\"",
            "latitude and longitude would win",
        ),
        (
            xml,
            "/icons/root.png",
            "/icons/root.svg",
            "is no absolute path of a PNG",
        ),
        (
            xml,
            "/srv/core/icons/root.png",
            "icons/root.png",
            "is no absolute path of a PNG",
        ),
        (
            xml,
            "type=\"banyan-host\"",
            "type=\"router\"",
            "model router starts a routing daemon",
        ),
        (
            xml,
            "<service name=\"BanyanRoutes\"/>",
            "<service name=\"zebra\"/>",
            "service zebra needs a routing daemon",
        ),
        (
            xml,
            "<service name=\"BanyanRoutes\"/>",
            "",
            "its list of services leaves out the routes",
        ),
        (
            xml,
            "<service name=\"IPForward\"/>",
            "<service name=\"pcap\"/>",
            "service pcap is not one of ours",
        ),
        (
            xml,
            "node1=\"1\"",
            "node1=\"77\"",
            "it ends at a node that is not there",
        ),
        (
            xml,
            " ip4=\"10.0.0.",
            " ip5=\"10.0.0.",
            "an end has no ip4, and CORE gives none",
        ),
        (xml, " mac=\"02:", " mac0=\"02:", "an end has no mac"),
        (
            xml,
            "mac=\"02:00:00:02:00:00\"",
            "mac=\"02:00:00:01:00:00\"",
            "is taken by link",
        ),
        (xml, " bandwidth=\"20000000\"", "", "so all are written"),
        (
            xml,
            " buffer=\"",
            " buffer=\"0\" was=\"",
            "netem takes one that starves the link",
        ),
        (
            services,
            "class Common:",
            "class Common(CoreService):",
            "a base class for a service without a name",
        ),
        (
            services,
            "name = \"BanyanRelay\"",
            "name = None",
            "service BanyanRelay: it has no name of its own",
        ),
        (
            services,
            "ServiceMode.NON_BLOCKING",
            "ServiceMode.BLOCKING",
            "what a blocking start leaves behind",
        ),
        (
            services,
            "validate = [\"bash BanyanRoutes-check.sh\"]",
            "validate = []",
            "BanyanRoutes: it is not validated",
        ),
        (
            services,
            "dependencies = [\"BanyanRoutes\"]",
            "dependencies = []",
            "it may start before the routes",
        ),
        (
            services,
            "'${export}/start",
            "'${HOME}/start",
            "Mako would fill in",
        ),
        (
            services,
            "    word = \"\"\n",
            "    word = \"\"\n    ## note\n",
            "Mako would take \"## note\"",
        ),
        (
            "scenario.py",
            ", position=position",
            "",
            "a node without a position cannot be sent",
        ),
        (
            "scenario.py",
            "dup=0, buffer=buffer",
            "",
            "what LinkOptions leaves out counts as 0",
        ),
        (
            "scenario.py",
            "core.delete_session",
            "core.stop_session",
            "a failed start leaves half a session",
        ),
        (
            "scenario.py",
            "NAME = ",
            "Geo(1.0, 2.0)\nNAME = ",
            "Geo is never sent",
        ),
        (
            "lib.sh",
            "say() {",
            "core-cleanup; say() {",
            "core-cleanup kills by name",
        ),
        (
            "experiments/session.py",
            "self.core.edit_link(",
            "self.core.delete_link(",
            "cannot add a deleted link again",
        ),
        (
            "lib.sh",
            "> /dev/null 2>> \"$state/logs/$node.log\" &",
            "&",
            "holds CORE's output",
        ),
        (
            xml,
            "<service name=\"IPForward\"/>",
            "",
            "it has several links, and its list of services leaves out IPForward",
        ),
        (
            xml,
            "unidirectional=\"0\"",
            "unidirectional=\"1\"",
            "an edit of such a link changes one end only",
        ),
        (
            "scenario.py",
            "unidirectional=False",
            "unidirectional=True",
            "an edit of one direction changes one end only",
        ),
        (
            "experiments/session.py",
            ", dup=0",
            "",
            "what an edit leaves out becomes 0",
        ),
        (
            "experiments/kill_and_restart.py",
            " > /dev/null 2>&1 &",
            " &",
            "experiments/kill_and_restart.py: a background process holds CORE's output",
        ),
        (
            "README.md",
            "bridge-nf-call-iptables=0",
            "",
            "Docker's rules drop frames of bridges",
        ),
        (
            "start/rp.sh",
            "\"$here\"/configs",
            "@here@/configs",
            "a placeholder was not filled in",
        ),
    ];
    for (path, from, to, sentence) in cases {
        let faults = spoil(path, from, to);
        assert!(
            faults.iter().any(|fault| fault.contains(sentence)),
            "{path}: {from:?} -> {to:?} gives {faults:?}, not {sentence:?}"
        );
    }
}

#[test]
fn a_list_of_services_and_every_file_are_needed() {
    let mut exported = Exported::of(EXAMPLES[1].1, "/srv/core");
    for path in [
        "scenario.xml",
        "scenario.py",
        "banyan_services/banyan.py",
        "experiments/session.py",
        "start/n1.sh",
    ] {
        let mut files = exported.files.clone();
        files.retain(|file| file.path != path);
        let faults = check::export(&files);
        assert!(
            faults
                .iter()
                .any(|fault| fault.contains(&format!("{path} is missing"))),
            "{faults:?}"
        );
    }
    let file = exported
        .files
        .iter_mut()
        .find(|file| file.path == "scenario.xml")
        .unwrap();
    let text = String::from_utf8(file.contents.clone()).unwrap();
    let (head, rest) = text.split_once("<services>").unwrap();
    let (_, tail) = rest.split_once("</services>").unwrap();
    file.contents = format!("{head}<services></services>{tail}").into_bytes();
    let faults = check::export(&exported.files);
    assert!(
        faults
            .iter()
            .any(|fault| fault.contains("CORE takes the model's")),
        "{faults:?}"
    );
    let text = text.replace("value=\"[", "value=\"&#10;[");
    let file = exported
        .files
        .iter_mut()
        .find(|file| file.path == "scenario.xml")
        .unwrap();
    file.contents = text.into_bytes();
    let faults = check::export(&exported.files);
    assert!(
        faults.iter().any(|fault| fault.contains("line break")),
        "{faults:?}"
    );
}
