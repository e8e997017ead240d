// SPDX-License-Identifier: Apache-2.0
// Uploads under way, above the tasks.
import { Button } from "../ui/button";
import { Bar } from "../ui/card";
import { bytes } from "../ui/format";
import { Icon } from "../ui/icon";
import { forget, isUnderWay, transfers, type Transfer } from "../vim/upload";

function Line({ of: t }: { of: Transfer }) {
  const share = t.size ? (t.sent / t.size) * 100 : 100;
  return (
    <li class="transfer">
      <Icon name={t.state === "done" ? "check" : t.state === "failed" ? "alert" : "upload"} tone={t.state === "done" ? "success" : t.state === "failed" ? "danger" : "info"} />
      <span class="name">{t.to}</span>
      <Bar label={`Upload of ${t.name}`} share={share} bare />
      <span class="subtle">{t.error ?? `${bytes(t.sent)} of ${bytes(t.size)}`}</span>
      {t.state === "failed" && <Button small kind="link" onClick={t.again}>Resume</Button>}
      {isUnderWay(t)
        ? <Button small kind="plain" icon="close" label={`Cancel ${t.name}`} onClick={t.cancel} />
        : <Button small kind="plain" icon="close" label={`Forget ${t.name}`} onClick={() => forget(t.id)} />}
    </li>
  );
}

export function Transfers() {
  if (!transfers.value.length) return null;
  return (
    <section class="tasks" aria-label="Uploads">
      <ul class="transfers">{transfers.value.map((t) => <Line key={t.id} of={t} />)}</ul>
    </section>
  );
}
