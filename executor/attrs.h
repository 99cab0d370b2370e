/* User attributes of trials and studies that forkless writes. */
#pragma once

#define ATTR_CLASS "forkless:class"
#define ATTR_MESSAGE "forkless:message"
#define ATTR_DIR "forkless:dir"
#define ATTR_ENQUEUED "forkless:enqueued"
#define ATTR_FORKS "forkless:forks"
#define ATTR_EVIDENCE "forkless:evidence"
