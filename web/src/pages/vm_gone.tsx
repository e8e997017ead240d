// SPDX-License-Identifier: Apache-2.0
import type { ComponentChildren } from "preact";
import { Empty } from "../ui/table";

export const VmGone = ({ actions }: { actions?: ComponentChildren }) => (
  <Empty title="This virtual machine is gone" icon="vm" actions={actions}>It was deleted or unregistered, or you may not see it.</Empty>
);
