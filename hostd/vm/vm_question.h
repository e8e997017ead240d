/* SPDX-License-Identifier: Apache-2.0 */
/* Questions: what a VM can not go on without, as runtime.question shows it and AnswerVM answers it.
 * A VM has at most one. While it has, no other operation begins (QuestionPending) but power off;
 * one that asks within an operation (a start) answers TaskInProgress to all others, but for power
 * off, which gives up that start.
 *
 * A question is hostd's own and is gone with it; whoever asked asks the next hostd again (a
 * keeper), or the operation has failed (a start). */
#pragma once

#include "hostd/model/virtual_machine.h"

struct vim_VirtualMachineQuestionInfo;

/* One kind of question. The ids are ESXi's: clients answer by them. */
struct vm_question_form {
    const char *id; /* "msg.uuid.altered" */
    struct {
        const char *id, *text; /* "button.uuid.movedTheVM"; AnswerVM takes its number */
    } choice[4];
    unsigned choices, proposed;
};

/* `answered` comes once, unless the question is withdrawn first. `text` is copied. -errno. */
typedef void vm_question_answered(struct virtual_machine *vm, unsigned choice);
int vm_question_ask(struct virtual_machine *vm, const struct vm_question_form *form,
                    vm_question_answered *answered, const char *text);
void vm_question_withdraw(struct virtual_machine *vm); /* if there is one */

/* NULL: none. */
struct vim_VirtualMachineQuestionInfo *vm_question_info(struct arena *arena,
                                                        const struct virtual_machine *vm);
/* Answers the call with QuestionPending, if there is one. */
bool vm_question_pending(struct call *call, const struct virtual_machine *vm);
void vm_answer(struct mo *mo, struct call *call);

/* A keeper says that the VM stands still, for there is no room for `file`. */
void vm_question_no_space(struct virtual_machine *vm, const char *file);
