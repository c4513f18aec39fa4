import type { NamespaceBase, Root, Type } from 'protobufjs';
import type { CompleteSchema } from '../registry/schema.ts';
import type { Protobufjs } from './library.ts';

/** A file with all that it imports. */
export interface ProtobufCodec {
  readonly root: Root;
  /** Full names of the file's own messages by their indexes, joined by commas. In the order of the file. */
  readonly messages: ReadonlyMap<string, string>;
}

/** Parsed anew for each schema: a file has one place in one root. */
export function parse(
  library: Protobufjs,
  { text, parts }: CompleteSchema,
  keepCase: boolean,
): ProtobufCodec {
  const root = new library.Root();
  const texts = new Map(parts.map((part) => [part.name, part.text]));
  const loaded = new Set<string>();
  const add = (source: string): void => {
    const { imports = [], weakImports = [] } = library.parse(source, root, { keepCase });
    for (const name of [...imports, ...weakImports]) {
      if (loaded.has(name)) continue;
      loaded.add(name);
      const imported = texts.get(name);
      const common = library.common.get(name);
      if (imported !== undefined) add(imported);
      else if (common?.nested !== undefined) root.addJSON(common.nested);
      // Options only, which nothing here looks at.
      else if (!/^(confluent\/meta|google\/protobuf\/descriptor)\.proto$/.test(name)) {
        throw new Error(`it imports "${name}", and no reference has that name`);
      }
    }
  };
  add(text);
  root.resolveAll();
  return { root, messages: messagesOf(library, text, keepCase) };
}

/** Of this file alone: in the common root its package may hold messages of other files, too. */
function messagesOf(library: Protobufjs, text: string, keepCase: boolean): Map<string, string> {
  const alone = new library.Root();
  const { package: packageName } = library.parse(text, alone, { keepCase });
  const messages = new Map<string, string>();
  const walk = (space: NamespaceBase, indexes: readonly number[]): void => {
    // Like protoc, but without the entries of maps, which no other client counts by the text of the file.
    const types = space.nestedArray.filter((one): one is Type => one instanceof library.Type);
    for (const [index, type] of types.entries()) {
      const place = [...indexes, index];
      messages.set(place.join(), type.fullName.slice(1));
      walk(type, place);
    }
  };
  walk(packageName ? (alone.lookup(packageName) as NamespaceBase) : alone, []);
  return messages;
}
