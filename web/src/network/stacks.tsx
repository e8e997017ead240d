// SPDX-License-Identifier: Apache-2.0
// The host's own way into the network: names, routes.
import { Card, Facts } from "../ui/card";
import type { HostNetworkInfo, HostNetStackInstance } from "../vim/types.gen";

const names: { [key: string]: string } = { defaultTcpipStack: "Default", vmotion: "vMotion", vSphereProvisioning: "Provisioning" };

function Stack({ s }: { s: HostNetStackInstance }) {
  const dns = s.dnsConfig, routes = s.ipRouteConfig;
  return (
    <Card title={`TCP/IP stack: ${names[s.key ?? ""] ?? s.name ?? s.key ?? ""}`}>
      <Facts of={[
        ["Host name", dns?.hostName], ["Domain", dns?.domainName || undefined], ["Name servers", dns?.address?.join(", ")], ["Search domains", dns?.searchDomain?.join(", ") || undefined],
        ["Default gateway", routes?.defaultGateway], ["By", routes?.gatewayDevice], ["IPv6 gateway", routes?.ipV6DefaultGateway],
        ["Congestion control", s.congestionControlAlgorithm],
      ]} />
    </Card>
  );
}

export function Stacks({ info }: { info: HostNetworkInfo }) {
  return <div class="cards">{(info.netStackInstance ?? []).map((s) => <Stack key={s.key} s={s} />)}</div>;
}
