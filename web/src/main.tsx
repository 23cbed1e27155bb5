/** Start: puts the page into the document. */
import { render } from "preact";
import { App } from "./app";
import "./style/base.css";
import "./style/stage.css";
import "./style/streams.css";
import "./style/tree.css";

const root = document.getElementById("page");
if (root) render(<App />, root);
