// SPDX-License-Identifier: Apache-2.0
// The product's mark, a socle in three steps, and what its release is called.
import { content } from "../vim/session";
import mark from "./mark.svg";

export const Mark = () => <span class="mark" aria-hidden="true" dangerouslySetInnerHTML={{ __html: mark }} />; // a file of ours

/** "Socle 0.1.0 (API 8.0.3.0)": 0.1.0. `about.version` is the API's. */
export const release = () => /^\S+ ([\w.+~-]+)/.exec(content.value?.about.fullName ?? "")?.[1] ?? "";
