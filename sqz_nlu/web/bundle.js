// Reads a bundle and checks every byte of it against its manifest before anything else happens with it.

import { BundleError } from "./errors.js";

const FORMAT_VERSION = 1;
const CHECKSUM = /^ "checksum": "([0-9a-f]{64})",\n/m;
const MANIFEST = "manifest.json";
const NEEDED = ["config.json", "tokenizer.json", "model.onnx"];

/** @typedef {Record<string, Uint8Array<ArrayBuffer>>} Files */

/** Fetches what a bundle needs. @param {URL} folder its address, with a slash at the end @returns {Promise<Files>} */
export async function fetchBundle(folder) {
  const names = [MANIFEST, ...NEEDED];
  const contents = await Promise.all(names.map((name) => fetchFile(new URL(name, folder))));
  return Object.fromEntries(names.map((name, index) => [name, contents[index]]));
}

/**
 * The parsed files of a bundle.
 * @param {Files} files
 * @returns {Promise<{ manifest: any, config: any, tokenizer: any, model: Uint8Array<ArrayBuffer> }>}
 */
export async function verifyBundle(files) {
  for (const name of [MANIFEST, ...NEEDED]) {
    if (!files[name]) throw new BundleError(`The bundle has no ${name}. Copy or export it again.`);
  }
  const manifest = await readManifest(text(files[MANIFEST]));
  for (const name of NEEDED) {
    const { size, sha256: expected } = manifest.files[name];
    const content = files[name];
    if (content.length !== size || (await sha256(content)) !== expected) {
      throw new BundleError(
        `${name} has ${content.length} bytes that are not the ${size} its manifest states (SHA-256). ` +
          "The file was changed, damaged or cut; copy or export the bundle again.",
      );
    }
  }
  const [config, tokenizer] = [files["config.json"], files["tokenizer.json"]].map((file) => JSON.parse(text(file)));
  return { manifest, config, tokenizer, model: files["model.onnx"] };
}

/** @param {string} raw */
async function readManifest(raw) {
  const checksum = CHECKSUM.exec(raw)?.[1];
  // The checksum is that of the file without the line that states it.
  if (!checksum || checksum !== (await sha256(new TextEncoder().encode(raw.replace(CHECKSUM, ""))))) {
    throw new BundleError("manifest.json is damaged (its checksum does not match). Copy or export the bundle again.");
  }
  const manifest = JSON.parse(raw);
  if (manifest.format_version !== FORMAT_VERSION) {
    throw new BundleError(
      `The bundle has format version ${manifest.format_version}; these JavaScript files read ${FORMAT_VERSION}. ` +
        "Use those of the sqz-nlu version that wrote it.",
    );
  }
  return manifest;
}

/** @param {Uint8Array<ArrayBuffer>} content */
async function sha256(content) {
  if (!globalThis.crypto?.subtle) {
    throw new BundleError(
      "This page cannot check the bundle: browsers offer crypto.subtle to https:// pages and to localhost only. " +
        "Serve the page over https, or from localhost.",
    );
  }
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", content));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** @param {URL} url @returns {Promise<Uint8Array<ArrayBuffer>>} */
async function fetchFile(url) {
  try {
    if (url.protocol === "file:") {
      const { readFile } = await import("node:fs/promises");
      return new Uint8Array(await readFile(url));
    }
    const response = await fetch(url);
    if (!response.ok) throw new Error(`HTTP ${response.status}`);
    return new Uint8Array(await response.arrayBuffer());
  } catch (error) {
    throw new BundleError(`${url} cannot be read (${error}). Expected a bundle's file there.`);
  }
}

/** @param {Uint8Array} content */
function text(content) {
  return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(content);
}
