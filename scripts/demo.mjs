/**
 * `npm run demo`: goes from a fresh clone to a fine-tuned model. It installs, builds, downloads a real model and real data, scores the
 * rows, trains, and shows the result. What was downloaded is kept; further `key=value` arguments are passed to the recipe.
 *
 * `npm run demo -- gemma` uses Gemma 3 270M, whose license you must accept. `-- text` continues pre-training on plain text. `-- dpo`
 * teaches the model to prefer answers in JSON. `-- embeddings` teaches MiniLM to find mails by their subjects. `-- ner` teaches it to find
 * the parts of addresses. `-- tiny` needs no download.
 */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { waitFor } from './demo/wait-for.mjs';
import { buildBundles, cacheFolder, ensureEngine, ensurePackages, root, StepError, say } from './steps.mjs';

const OLDEST_NODE = [20, 15];

async function main([first, ...rest]) {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major < OLDEST_NODE[0] || (major === OLDEST_NODE[0] && minor < OLDEST_NODE[1]))
    throw new StepError(`Node ${process.versions.node} is too old: ${OLDEST_NODE.join('.')} or later is needed`);
  const name = first in demos ? first : 'spam';
  const overrides = first === undefined || first in demos ? rest : [first, ...rest];
  ensurePackages();
  buildBundles();
  ensureEngine();
  return demos[name](path.join(cacheFolder(), 'demo'), overrides);
}

/** The demos; each returns the exit status of its training. Modules are loaded here because they use packages that `main` installs. */
const demos = {
  async spam(folder, overrides) {
    const { ensureModel } = await import('./demo/model.mjs');
    return tuneOnSpam(folder, await ensureModel(path.dirname(folder)), overrides);
  },
  async gemma(folder, words) {
    const { ACCEPT_GEMMA, ensureGemma } = await import('./demo/gemma.mjs');
    const overrides = words.filter(word => word !== ACCEPT_GEMMA);
    const model = await ensureGemma(path.dirname(folder), overrides.length < words.length);
    return tuneOnSpam(folder, model, ['name=spam-gemma', ...overrides]);
  },
  async text(folder, overrides) {
    const { ensureModel } = await import('./demo/model.mjs');
    const { ensureTextData } = await import('./demo/text-data.mjs');
    const model = await ensureModel(path.dirname(folder));
    return train('continue-pretraining', { model, train: ensureTextData(path.join(folder, 'text')) }, overrides);
  },
  async dpo(folder, overrides) {
    const { ensureModel } = await import('./demo/model.mjs');
    const { ensureAnswerPairs } = await import('./demo/answer-pairs.mjs');
    const model = await ensureModel(path.dirname(folder));
    return train('json-answers', { model, ...ensureAnswerPairs(path.join(folder, 'answer-pairs')) }, overrides);
  },
  async embeddings(folder, overrides) {
    const { ensureMiniLm } = await import('./demo/minilm.mjs');
    const { ensureMailPairs } = await import('./demo/mail-pairs.mjs');
    const model = await ensureMiniLm(path.dirname(folder));
    return train('mail-search', { model, ...ensureMailPairs(path.join(folder, 'mail-pairs')) }, overrides);
  },
  async ner(folder, overrides) {
    const { ensureMiniLm } = await import('./demo/minilm.mjs');
    const { ensureAddresses } = await import('./demo/addresses.mjs');
    const model = await ensureMiniLm(path.dirname(folder));
    return train('addresses', { model, ...(await ensureAddresses(path.join(folder, 'addresses'))) }, overrides);
  },
  async tiny(folder, overrides) {
    const { ensureTiny } = await import('./demo/tiny.mjs');
    const { model, data } = ensureTiny(path.join(folder, 'tiny'));
    return train('tiny', { model, train: data }, overrides);
  },
};

/** Scores the rows, if not done yet, and trains. @returns {Promise<number>} the exit status */
async function tuneOnSpam(folder, model, overrides) {
  const { ensureSpamData } = await import('./demo/spam-data.mjs');
  const sources = { model, ...ensureSpamData(path.join(folder, 'spam')) };
  const recipe = exampleOf('spam');
  const scores = path.join(
    folder,
    'spam',
    `scores-${path.parse(model).name}-${digest([path.join(root, recipe), sources.train])}.safetensors`,
  );
  if (!existsSync(scores)) {
    const status = rowtune(['importance', recipe, ...settingsOf(sources), '--output', scores]);
    if (status !== 0) return status;
  }
  return train('spam', sources, [`importance.scores=${scores}`, ...overrides]);
}

/** @typedef {{ model: string, train: string, heldOut?: string }} Sources */

const exampleOf = name => path.join('examples', `${name}.rowtune.yaml`);

/** @param {Sources} sources @returns {string[]} */
const settingsOf = ({ model, train, heldOut }) => [
  `model=${model}`,
  `data.train=${train}`,
  ...(heldOut === undefined ? [] : [`data.eval=${heldOut}`]),
];

/** Trains an example. @param {string} name @param {Sources} sources @param {readonly string[]} overrides */
const train = (name, sources, overrides) => rowtune(['train', exampleOf(name), ...settingsOf(sources), ...overrides]);

/** Hashes the files, so that scores for an earlier recipe or earlier data are not reused. */
function digest(files) {
  const hash = createHash('sha256');
  for (const file of files) hash.update(readFileSync(file));
  return hash.digest('hex').slice(0, 8);
}

/** Runs the command as a user would type it, with its own output. */
function rowtune(args) {
  say(`\n$ rowtune ${args.map(arg => (/[\s"']/.test(arg) ? JSON.stringify(arg) : arg)).join(' ')}`);
  return waitFor(process.execPath, [path.join(root, 'bin', 'rowtune.mjs'), ...args], { cwd: root });
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof StepError)) throw error;
  say(`\n${error.message}`);
  process.exitCode = 1;
}
