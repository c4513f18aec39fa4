/** Kinds of files; each has topics of its own. */
export const KINDS = ['code', 'docs', 'data', 'other'] as const;
export type Kind = (typeof KINDS)[number];

/** A file that the crawler has seen. */
export interface Found {
  readonly path: string;
  readonly kind: Kind;
  /** How to make text of its bytes; `name` leaves them alone and takes the file's name for a text. */
  readonly readAs: 'utf-8' | 'latin1' | 'name';
}

/** What an indexer made of a file. */
export interface Indexed {
  readonly path: string;
  readonly kind: Kind;
  readonly lines: number;
  /** How often each word is in it. */
  readonly words: Readonly<Record<string, number>>;
}

/** What the librarian is asked. */
interface Search {
  readonly words: string;
}

/** What the librarian answers. */
export type Hit = { readonly path: string; readonly score: number };

/** What the reviewers are asked. */
export interface Review {
  readonly found: number;
  readonly indexed: number;
  readonly search: string;
}

/** What each of them answers. */
export interface Vote {
  readonly reviewer: string;
  readonly approves: boolean;
  readonly because: string;
}

/** What travels on which topic: `createBus<Topics>()` makes the compiler hold everybody to it. */
export interface Topics {
  'files.*.found': Found;
  'files.*.indexed': Indexed;
  'library.search': Search;
  'library.review': Review;
}
