// SPDX-License-Identifier: Apache-2.0
import { useState } from "preact/hooks";
import { say } from "../ui/alert";
import { Button } from "../ui/button";
import { Card, Facts } from "../ui/card";
import { Dialog, openDialog } from "../ui/dialog";
import { TextField } from "../ui/field";
import { capital, time } from "../ui/format";
import { Empty } from "../ui/table";
import { on, request, type AnyRef } from "../vim/client";
import { host, useProperties } from "../vim/inventory";
import { forbids } from "../vim/privilege";
import { perform } from "../vim/task";
import type { HostAccessManager, HostCertificateManager } from "../vim/types.gen";

function Install({ manager }: { manager: AnyRef }) {
  const [cert, setCert] = useState("");
  const install = request<HostCertificateManager>(manager).InstallServerCertificate({ cert });
  return (
    <Dialog title="Install a certificate" confirm="Install" wide because={!/BEGIN CERTIFICATE/.test(cert) && "A certificate in PEM is needed."}
      onConfirm={async () => { await perform(install); say("success", "The certificate is installed", "New connections use it."); }}
      commands={{ govc: "govc host.cert.import FILE", request: install }}>
      <TextField label="Certificate that was made for the last signing request" value={cert} onValue={setCert} lines={14} placeholder="-----BEGIN CERTIFICATE-----" autoFocus />
    </Dialog>
  );
}

function Request({ text }: { text: string }) {
  return (
    <Dialog title="Signing request" confirm="Copy" wide onConfirm={() => navigator.clipboard.writeText(text)}>
      <p>Have it signed by your certificate authority, then install the certificate.</p>
      <pre class="log" tabIndex={0}>{text}</pre>
    </Dialog>
  );
}

/** Who may come in other than over this host's manager. */
function Lockdown() {
  const access = host()?.configManager?.hostAccessManager;
  const mode = useProperties<HostAccessManager, "lockdownMode">(access, ["lockdownMode"])?.lockdownMode;
  const names: { [mode: string]: string } = { lockdownDisabled: "Off", lockdownNormal: "Normal", lockdownStrict: "Strict" };
  return (
    <Card title="Lockdown">
      <Facts of={[["Lockdown mode", mode && names[mode]]]} />
      <div class="table-tools spaced"><Button because="It keeps everybody out but the host's manager, and this host has none.">Change</Button></div>
      <p class="subtle">It keeps everybody out but the host's manager, and this host has none.</p>
    </Card>
  );
}

export function Security() {
  const manager = host()?.configManager?.certificateManager;
  const info = useProperties<HostCertificateManager, "certificateInfo">(manager, ["certificateInfo"])?.certificateInfo;
  if (!manager) return <Empty title="This host has no certificate to manage" icon="settings" />;
  const cannot = forbids(host(), "Certificate.Manage");
  const request = async () => {
    const text = await on<HostCertificateManager>(manager).GenerateCertificateSigningRequest({ useIpAddressAsCommonName: false });
    openDialog(<Request text={text} />);
  };
  return (
    <div class="cards">
      <Card title="Certificate">
        <Facts of={[["Subject", info?.subject], ["Issuer", info?.issuer], ["From", time(info?.notBefore)], ["Until", time(info?.notAfter)], ["Status", info?.status && capital(info.status)]]} />
        <div class="table-tools spaced">
          <Button because={cannot} onClick={() => void request().catch((e) => say("danger", "Signing request", String(e.message)))}>Signing request</Button>
          <Button because={cannot} onClick={() => openDialog(<Install manager={manager} />)}>Install a certificate</Button>
        </div>
      </Card>
      <Lockdown />
    </div>
  );
}
