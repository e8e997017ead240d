// SPDX-License-Identifier: Apache-2.0
// A ticket opens one WebSocket to a VM's screen or serial port, once, within two minutes.
import { on, type AnyRef } from "../vim/client";
import type { VirtualMachine } from "../vim/types.gen";

export async function ticketUrl(vm: AnyRef, ticketType: "webmks" | "serial"): Promise<string> {
  const { ticket } = await on<VirtualMachine>(vm).AcquireTicket({ ticketType });
  return `wss://${location.host}/ticket/${ticket}`;
}
