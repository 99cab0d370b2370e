/* User attributes of trials and studies that forkless writes. */
#pragma once

#define ATTR_CLASS "forkless:class"
#define ATTR_MESSAGE "forkless:message"
#define ATTR_DIR "forkless:dir"
#define ATTR_SEED "forkless:seed"
#define ATTR_ENQUEUED "forkless:enqueued"
#define ATTR_FORKS "forkless:forks"
#define ATTR_EVIDENCE "forkless:evidence"

/* A system attribute: where a trial stands on its fallback ladder. It goes along with later tries,
 * unlike those named forkless:…, so a lost one goes on where it stood. */
#define ATTR_FALLBACK "fallback"
