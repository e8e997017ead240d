// SPDX-License-Identifier: Apache-2.0
// The host client: the page where people run the host. ARCHITECTURE.md has the tour.
import { render } from "preact";
import "./ui/style.css";
import "./shell/theme";
import { Shell } from "./shell/shell";
import { resume } from "./vim/session";

render(<Shell />, document.getElementById("app")!);
void resume();
