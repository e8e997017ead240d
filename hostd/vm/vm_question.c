/* SPDX-License-Identifier: Apache-2.0 */
#include "hostd/vm/vm_question.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "hostd/api/call.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/event/event.h"

struct vm_question {
    const struct vm_question_form *form;
    vm_question_answered *answered;
    char id[16];
    char text[]; /* "msg.uuid.altered:This virtual machine ..." */
};

static void changed(struct virtual_machine *vm)
{
    mo_changed(&vm->e.mo, VIM_P_VirtualMachine_runtime);
    mo_changed(&vm->e.mo, VIM_P_VirtualMachine_summary);
}

/* --- asking --- */

static struct vim_VirtualMachineMessage *message_of(struct arena *arena,
                                                    const struct vm_question *q)
{
    struct vim_VirtualMachineMessage *message = VIM_NEW(arena, VirtualMachineMessage);

    message->id = q->form->id;
    message->text = arena_strdup(arena, q->text + strlen(q->form->id) + 1);
    return message;
}

static void tell(struct virtual_machine *vm)
{
    struct arena cleanup_arena arena = {0};
    struct vim_VmMessageEvent *event = VIM_NEW(&arena, VmMessageEvent);
    struct vim_VirtualMachineMessage *message = message_of(&arena, vm->question);

    event->message = message->text;
    VIM_ADD(&arena, &event->messageInfo, message);
    event_post(vm->e.hostd, (struct vim_Event *)(void *)event, &vm->e,
               vm->task ? vm->task->user : "", "Message on %s on %s: %s", vm->e.name,
               vm->e.hostd->inventory->host.name, message->text);
}

int vm_question_ask(struct virtual_machine *vm, const struct vm_question_form *form,
                    vm_question_answered *answered, const char *text)
{
    static unsigned count;
    size_t size = strlen(form->id) + strlen(text) + 2;
    struct vm_question *q = vm->question ? NULL : malloc(sizeof *q + size);

    if (!q)
        return vm->question ? -EBUSY : -ENOMEM;
    *q = (struct vm_question){.form = form, .answered = answered};
    (void)snprintf(q->id, sizeof q->id, "_vmx%u", ++count);
    (void)snprintf(q->text, size, "%s:%s", form->id, text);
    vm->question = q;
    tell(vm);
    changed(vm);
    return 0;
}

void vm_question_withdraw(struct virtual_machine *vm)
{
    if (!vm->question)
        return;
    free(TAKE_PTR(vm->question));
    changed(vm);
}

/* --- showing, answering --- */

struct vim_VirtualMachineQuestionInfo *vm_question_info(struct arena *arena,
                                                        const struct virtual_machine *vm)
{
    const struct vm_question *q = vm->question;

    if (!q)
        return NULL;
    struct vim_VirtualMachineQuestionInfo *info = VIM_NEW(arena, VirtualMachineQuestionInfo);
    info->id = arena_strdup(arena, q->id);
    info->text = arena_strdup(arena, q->text);
    info->choice = VIM_NEW(arena, ChoiceOption);
    info->choice->defaultIndex = vim_int((int32_t)q->form->proposed);
    for (unsigned i = 0; i < q->form->choices; i++) {
        struct vim_ElementDescription *choice = VIM_NEW(arena, ElementDescription);
        choice->key = arena_printf(arena, "%u", i);
        choice->label = q->form->choice[i].id;
        choice->summary = q->form->choice[i].text;
        VIM_ADD(arena, &info->choice->choiceInfo, choice);
    }
    VIM_ADD(arena, &info->message, message_of(arena, q));
    return info;
}

bool vm_question_pending(struct call *call, const struct virtual_machine *vm)
{
    if (!vm->question)
        return false;
    struct vim_QuestionPending *fault = VIM_NEW(call->arena, QuestionPending);
    fault->text = arena_strdup(call->arena, vm->question->text);
    call_fault(call, &fault->self);
    return true;
}

/* By its number, or as it is called. */
static unsigned find_choice(const struct vm_question_form *form, const char *word)
{
    char number[12];
    unsigned i;

    for (i = 0; i < form->choices; i++) {
        (void)snprintf(number, sizeof number, "%u", i);
        if (!strcmp(word, number) || !strcmp(word, form->choice[i].id))
            break;
    }
    return i;
}

void vm_answer(struct mo *mo, struct call *call)
{
    const struct vim_AnswerVM_args *args = call->args;
    struct virtual_machine *vm = vm_of(mo);

    if (!vm->question || strcmp(vm->question->id, args->questionId) != 0) {
        call_fault_argument(call, "questionId");
        return;
    }
    unsigned choice = find_choice(vm->question->form, args->answerChoice);
    if (choice == vm->question->form->choices) {
        call_fault_argument(call, "answerChoice");
        return;
    }
    vm_question_answered *answered = vm->question->answered;
    vm_question_withdraw(vm);
    answered(vm, choice);
}

/* --- no room on the datastore --- */

static const struct vm_question_form no_space = {
    .id = "msg.hbacommon.outofspace",
    .choice = {{"button.retry", "Retry"}, {"button.abort", "Cancel"}},
    .choices = 2,
};

static void no_space_answered(struct virtual_machine *vm, unsigned choice)
{
    if (choice == 0)
        (void)keeper_send(vm->keeper.fd, KEEPER_RETRY);
    else
        vm_stop_by_host(vm);
}

void vm_question_no_space(struct virtual_machine *vm, const char *file)
{
    struct arena cleanup_arena arena = {0};
    const char *named = fault_named_file(&arena, file), *name = named ? named : file;

    (void)vm_question_ask(
        vm, &no_space, no_space_answered,
        arena_printf(&arena,
                     "There is no more space for virtual disk '%s'. You might be able to continue "
                     "this session by freeing disk space on the relevant volume, and clicking "
                     "Retry. Click Cancel to terminate this session.",
                     name));
}
