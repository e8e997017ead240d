// SPDX-License-Identifier: Apache-2.0
import type { VmRecord } from "../vim/inventory";
import { Events } from "./events";

export const VmEvents = ({ vm }: { vm: VmRecord }) => <Events of={vm.ref} />;
