//! `scenario.xml`: what the graphical interface and `core-cli` open.

use std::fmt::Write;

use super::METADATA;
use super::plan::{Plan, Planned};
use crate::model::{Interface, NodeKind};

pub(super) fn render(plan: &Plan<'_>) -> String {
    let mut out = Out(String::from("<?xml version='1.0' encoding='UTF-8'?>\n"));
    out.line(
        0,
        &format!(
            "<scenario{}>",
            attribute("name", &plan.source.network.topology)
        ),
    );
    let is_switch = |node: &&Planned<'_>| node.node.kind == NodeKind::Switch;
    out.line(1, "<networks>");
    for node in plan.nodes.iter().filter(is_switch) {
        out.line(
            2,
            &format!("<network{} type=\"SWITCH\">", common(plan, node)),
        );
        out.position(node);
        out.line(2, "</network>");
    }
    out.line(1, "</networks>");
    out.line(1, "<devices>");
    for node in plan.nodes.iter().filter(|node| !is_switch(node)) {
        let model = attribute("type", node.model.unwrap_or_default());
        out.line(
            2,
            &format!(
                "<device{}{model} class=\"\" image=\"\">",
                common(plan, node)
            ),
        );
        out.position(node);
        out.line(3, "<services>");
        for service in &node.services {
            out.line(4, &format!("<service{}/>", attribute("name", service)));
        }
        out.line(3, "</services>");
        out.line(2, "</device>");
    }
    out.line(1, "</devices>");
    out.line(1, "<links>");
    for link in &plan.links {
        let [(one, first), (other, second)] = link.ends;
        out.line(
            2,
            &format!("<link node1=\"{}\" node2=\"{}\">", one.id, other.id),
        );
        out.interface("iface1", one.kind, first);
        out.interface("iface2", other.kind, second);
        let options = &link.options;
        if !options.are_plain() {
            out.line(
                3,
                &format!(
                    "<options delay=\"{}\" bandwidth=\"{}\" loss=\"{}\" dup=\"0\" jitter=\"{}\" unidirectional=\"0\" buffer=\"{}\"/>",
                    options.delay, options.bandwidth, options.loss, options.jitter, options.buffer
                ),
            );
        }
        out.line(2, "</link>");
    }
    out.line(1, "</links>");
    out.line(1, "<session_metadata>");
    for (name, value) in [("shapes", &plan.shapes()), (METADATA, &plan.metadata)] {
        let pair = attribute("name", name) + &attribute("value", value);
        out.line(2, &format!("<configuration{pair}/>"));
    }
    out.line(1, "</session_metadata>");
    out.line(0, "</scenario>");
    out.0
}

fn common(plan: &Plan<'_>, node: &Planned<'_>) -> String {
    let icon = format!("{}/icons/{}.png", plan.source.folder, node.icon);
    [
        attribute("id", &node.node.id.to_string()),
        attribute("name", &node.node.name),
        attribute("icon", &icon),
        attribute("canvas", "1"),
    ]
    .concat()
}

struct Out(String);

impl Out {
    fn line(&mut self, depth: usize, text: &str) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.0, "{:width$}{text}", "", width = 2 * depth);
    }

    /// Without latitude and longitude, which would win over x and y.
    fn position(&mut self, node: &Planned<'_>) {
        let (x, y) = node.node.position;
        self.line(3, &format!("<position x=\"{x}.0\" y=\"{y}.0\"/>"));
    }

    fn interface(&mut self, element: &str, kind: NodeKind, interface: &Interface) {
        let mut text = format!("<{element} id=\"{}\"", interface.index);
        if kind != NodeKind::Switch {
            text += &attribute("name", &interface.name);
            text += &attribute("mac", &interface.mac.to_string());
            if let Some(net) = interface.v4 {
                text += &format!(" ip4=\"{}\" ip4_mask=\"{}\"", net.address, net.length);
            }
            if let Some(net) = interface.v6 {
                text += &format!(" ip6=\"{}\" ip6_mask=\"{}\"", net.address, net.length);
            }
        }
        self.line(3, &(text + "/>"));
    }
}

/// ` name="value"`; what an attribute may not hold is escaped, line breaks too.
fn attribute(name: &str, value: &str) -> String {
    let mut text = format!(" {name}=\"");
    for character in value.chars() {
        match character {
            '&' => text += "&amp;",
            '<' => text += "&lt;",
            '>' => text += "&gt;",
            '"' => text += "&quot;",
            '\n' => text += "&#10;",
            '\r' => text += "&#13;",
            '\t' => text += "&#9;",
            // XML has no way to write other control characters.
            control if control.is_control() => text.push(' '),
            plain => text.push(plain),
        }
    }
    text + "\""
}
