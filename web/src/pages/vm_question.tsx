// SPDX-License-Identifier: Apache-2.0
// A VM stands still and asks; somebody has to answer.
import { Alert, attempt } from "../ui/alert";
import { AsCommand } from "../ui/command";
import { Button } from "../ui/button";
import { quoted } from "../ui/format";
import { request } from "../vim/client";
import type { VmRecord } from "../vim/inventory";
import { forbids } from "../vim/privilege";
import { perform } from "../vim/task";
import type { VirtualMachine } from "../vim/types.gen";

export function VmQuestion({ vm }: { vm: VmRecord }) {
  const question = vm["summary.runtime"]?.question;
  if (!question) return null;
  const answer = (choice: string) => request<VirtualMachine>(vm.ref).AnswerVM({ questionId: question.id, answerChoice: choice });
  const cannot = forbids(vm, "VirtualMachine.Interact.AnswerQuestion"), usual = question.choice.defaultIndex ?? 0;
  return (
    <section aria-label="Question">
      <Alert kind="warning" title="It waits for an answer.">
        <p class="notes">{question.text.replace(/^msg\.[\w.]+:\s*/, "")}</p>
        <p class="table-tools spaced">
          {question.choice.choiceInfo.map((c, i) => (
            <Button key={c.key} kind={i === usual ? "primary" : "secondary"} because={cannot} onClick={() => void attempt("The answer was not taken", () => perform(answer(c.key)))}>{c.summary || c.label || c.key}</Button>
          ))}
        </p>
        <AsCommand socle={`socle vm answer ${quoted(vm.name ?? "")} ${question.choice.choiceInfo[usual]?.key ?? ""}`} govc={`govc vm.question -vm ${quoted(vm.name ?? "")} -answer ${question.choice.choiceInfo[usual]?.key ?? ""}`} request={answer(question.choice.choiceInfo[usual]?.key ?? "")} />
      </Alert>
    </section>
  );
}
