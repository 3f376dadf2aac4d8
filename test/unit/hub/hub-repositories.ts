/**
 * A local hub that accepts uploads like the Hugging Face Hub: accounts, repositories, LFS storage in one piece or in parts, and commits.
 */
import { createHash } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { buffer as readBody, json as readJson, text as readText } from 'node:stream/consumers';
import { z } from 'zod';
import { bearerToken } from '../../../trainer/machine/same-secret.ts';
import { type Handler, listen, sendFile, siblingsOf } from './hub-server.ts';

/** Tokens of the account `ada`, which is a member of `org`. */
export const WRITE_TOKEN = 'hf_write';
export const READ_TOKEN = 'hf_read';
const NAMESPACES = ['ada', 'org'];

/** Size of the parts in which LFS files above this size are uploaded. */
const PART_BYTES = 64 * 1024;
const LFS = /\.(?:safetensors|gguf|parquet)$/;

export interface Repository {
  readonly private: boolean;
  files: Record<string, Buffer>;
  commits: string[];
}

export interface LocalHub {
  readonly endpoint: string;
  readonly repositories: Map<string, Repository>;
  /** Method and path of each request. */
  readonly requests: string[];
}

const createSchema = z.object({
  name: z.string(),
  organization: z.string().optional(),
  visibility: z.string().optional(),
  private: z.boolean().optional(),
});
const preuploadSchema = z.object({ files: z.array(z.object({ path: z.string(), size: z.number(), sample: z.string() })) });
const batchSchema = z.object({
  operation: z.literal('upload'),
  transfers: z.array(z.string()),
  objects: z.array(z.object({ oid: z.string(), size: z.number() })),
});
const completeSchema = z.object({ oid: z.string(), parts: z.array(z.object({ partNumber: z.number(), etag: z.string() })) });
const commitLine = z.discriminatedUnion('key', [
  z.object({ key: z.literal('header'), value: z.object({ summary: z.string(), parentCommit: z.string().optional() }) }),
  z.object({ key: z.literal('file'), value: z.object({ path: z.string(), content: z.string(), encoding: z.literal('base64') }) }),
  z.object({
    key: z.literal('lfsFile'),
    value: z.object({ path: z.string(), algo: z.literal('sha256'), oid: z.string(), size: z.number() }),
  }),
]);

const sha = (algorithm: string, bytes: Uint8Array): string => createHash(algorithm).update(bytes).digest('hex');

/** @param intercept answers first if it returns true */
export async function localHub(intercept: Handler = () => false): Promise<LocalHub> {
  const repositories = new Map<string, Repository>();
  const stored = new Map<string, Buffer>();
  const parts = new Map<string, Buffer>();
  const requests: string[] = [];
  /** Number of uploads in parts; parts of one upload are of no use to another. */
  let uploads = 0;

  const answer = (response: ServerResponse, status: number, value: unknown): void =>
    void response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
  const refuse = (response: ServerResponse, status: number, error: string): void => answer(response, status, { error });

  type Route = (match: readonly string[], request: IncomingMessage, response: ServerResponse) => unknown;
  /** Routes, each with the token it needs. Storage is a separate service that must not receive a token. */
  const routes: readonly (readonly [method: string, path: RegExp, needs: 'any' | 'write' | 'none', route: Route])[] = [
    [
      'GET',
      /^\/api\/whoami-v2$/,
      'any',
      (_, request, response) => {
        const role = bearerToken(request.headers.authorization) === READ_TOKEN ? 'read' : 'write';
        answer(response, 200, {
          type: 'user',
          name: 'ada',
          orgs: [],
          auth: { type: 'access_token', accessToken: { displayName: 'laptop', role } },
        });
      },
    ],
    [
      'POST',
      /^\/api\/repos\/create$/,
      'write',
      async (_, request, response) => {
        const { name, organization = 'ada', visibility, private: isPrivate } = createSchema.parse(await readJson(request));
        const repo = `${organization}/${name}`;
        if (!NAMESPACES.includes(organization))
          return refuse(response, 403, `You don't have the rights to create a model under the namespace "${organization}"`);
        if (repositories.has(repo)) return refuse(response, 409, 'You already created this model repo');
        const attributes = Buffer.from('*.safetensors filter=lfs diff=lfs merge=lfs -text\n');
        repositories.set(repo, {
          private: isPrivate ?? visibility === 'private',
          files: { '.gitattributes': attributes },
          commits: [sha('sha1', Buffer.from(repo))],
        });
        answer(response, 200, { url: `${endpoint}/${repo}`, name: repo, id: repo });
      },
    ],
    [
      'GET',
      /^\/api\/models\/([\w.-]+\/[\w.-]+)\/revision\/main$/,
      'any',
      ([name = ''], _, response) => {
        const repository = repositories.get(name);
        if (!repository) return refuse(response, 404, 'Repository not found');
        answer(response, 200, { sha: repository.commits.at(-1), private: repository.private, siblings: siblingsOf(repository.files) });
      },
    ],
    [
      'POST',
      /^\/api\/models\/([\w.-]+\/[\w.-]+)\/preupload\/main$/,
      'write',
      async ([name = ''], request, response) => {
        if (!repositories.has(name)) return refuse(response, 404, 'Repository not found');
        const { files } = preuploadSchema.parse(await readJson(request));
        answer(response, 200, {
          files: files.map(({ path }) => ({ path, uploadMode: LFS.test(path) ? 'lfs' : 'regular', shouldIgnore: false })),
        });
      },
    ],
    [
      'POST',
      /^\/([\w.-]+\/[\w.-]+)\.git\/info\/lfs\/objects\/batch$/,
      'write',
      async (_, request, response) => {
        const { objects } = batchSchema.parse(await readJson(request));
        const withActions = objects.map(({ oid, size }) => {
          if (stored.has(oid)) return { oid, size };
          const count = Math.ceil(size / PART_BYTES);
          if (count <= 1) return { oid, size, actions: { upload: { href: `${endpoint}/storage/whole/${oid}` } } };
          const upload = `${oid}_${uploads++}`;
          const places = Array.from({ length: count }, (_, i) => [
            String(i + 1).padStart(5, '0'),
            `${endpoint}/storage/part/${upload}/${i + 1}`,
          ]);
          const header = { chunk_size: String(PART_BYTES), ...Object.fromEntries(places) };
          return { oid, size, actions: { upload: { href: `${endpoint}/storage/complete/${upload}`, header } } };
        });
        answer(response, 200, { transfer: 'basic', objects: withActions });
      },
    ],
    [
      'PUT',
      /^\/storage\/whole\/(\w+)$/,
      'none',
      async ([oid = ''], request, response) => {
        const content = await readBody(request);
        if (sha('sha256', content) !== oid) return refuse(response, 400, 'The content has another hash');
        stored.set(oid, content);
        answer(response, 200, {});
      },
    ],
    [
      'PUT',
      /^\/storage\/part\/(\w+\/\d+)$/,
      'none',
      async ([place = ''], request, response) => {
        if (request.headers['content-length'] === undefined) return refuse(response, 411, 'MissingContentLength');
        const content = await readBody(request);
        parts.set(place, content);
        response.writeHead(200, { etag: `"${sha('md5', content)}"` }).end();
      },
    ],
    [
      'POST',
      /^\/storage\/complete\/(\w+)$/,
      'none',
      async ([upload = ''], request, response) => {
        const { oid, parts: list } = completeSchema.parse(await readJson(request));
        const content = list.map(({ partNumber, etag }) => {
          const part = parts.get(`${upload}/${partNumber}`) ?? Buffer.alloc(0);
          return etag === `"${sha('md5', part)}"` ? part : Buffer.alloc(0);
        });
        if (sha('sha256', Buffer.concat(content)) !== oid) return refuse(response, 400, 'The parts do not make the content');
        stored.set(oid, Buffer.concat(content));
        answer(response, 200, { success: true });
      },
    ],
    [
      'POST',
      /^\/api\/models\/([\w.-]+\/[\w.-]+)\/commit\/main$/,
      'write',
      async ([name = ''], request, response) => {
        const repository = repositories.get(name);
        const lines = (await readText(request))
          .trimEnd()
          .split('\n')
          .map(line => commitLine.parse(JSON.parse(line)));
        if (!repository) return refuse(response, 404, 'Repository not found');
        for (const { key, value } of lines) {
          if (key === 'header' && ![undefined, repository.commits.at(-1)].includes(value.parentCommit))
            return refuse(response, 412, 'A commit has happened since. Please refresh and try again.');
          if (key === 'lfsFile' && stored.get(value.oid)?.length !== value.size)
            return refuse(response, 400, `The LFS object of ${value.path} is missing`);
        }
        for (const { key, value } of lines) {
          if (key === 'file') repository.files[value.path] = Buffer.from(value.content, 'base64');
          if (key === 'lfsFile') repository.files[value.path] = stored.get(value.oid) ?? Buffer.alloc(0);
        }
        repository.commits.push(sha('sha1', Buffer.from(JSON.stringify([repository.commits, lines]))));
        const commitOid = repository.commits.at(-1);
        answer(response, 200, { success: true, commitOid, commitUrl: `${endpoint}/${name}/commit/${commitOid}`, hookOutput: '' });
      },
    ],
    [
      'GET',
      /^\/([\w.-]+\/[\w.-]+)\/resolve\/\w+\/(.+)$/,
      'any',
      ([name = '', file = ''], request, response) => {
        const content = repositories.get(name)?.files[file];
        if (content) sendFile(request, response, content);
        else refuse(response, 404, 'Entry not found');
      },
    ],
  ];

  const endpoint = await listen((request, response) => {
    const [path = ''] = (request.url ?? '').split('?');
    requests.push(`${request.method} ${path}`);
    if (intercept(request, response)) return;
    for (const [method, pattern, needs, route] of routes) {
      const match = request.method === method ? pattern.exec(path) : null;
      if (!match) continue;
      const token = bearerToken(request.headers.authorization);
      if (needs === 'none' ? token !== undefined : ![WRITE_TOKEN, READ_TOKEN].includes(token ?? ''))
        return refuse(response, needs === 'none' ? 400 : 401, 'Invalid username or password.');
      if (needs === 'write' && token !== WRITE_TOKEN) return refuse(response, 403, 'This token has no write access');
      void Promise.resolve(route(match.slice(1), request, response)).catch(error => refuse(response, 400, String(error)));
      return;
    }
    refuse(response, 404, `No route of ${request.method} ${path}`);
  });
  return { endpoint, repositories, requests };
}
