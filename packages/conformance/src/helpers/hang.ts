import type { CaseContext } from '../context.ts';

/** A handler that does not end by itself, only with its case: so nothing waits for it at the close. */
export function hanging(t: CaseContext): () => Promise<void> {
  const end = Promise.withResolvers<void>();
  t.cleanup(() => end.resolve());
  return () => end.promise;
}
