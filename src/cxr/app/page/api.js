// Talks to the server; every fault becomes an Error whose message is for people.

export async function get(path) {
  const answer = await fetch(path).catch(() => { throw new Error("the server does not answer; is it still running?"); });
  if (!answer.ok) throw await faultOf(answer);
  return answer;
}

// files: File objects; tokens: of earlier answers; models: names; progress(share of the upload, 0 to 1)
export function predict({ files = [], tokens = [], models }, progress = () => {}) {
  const form = new FormData();
  files.forEach((file) => form.append("file", file, file.name));
  tokens.forEach((token) => form.append("token", token));
  models.forEach((name) => form.append("models", name));
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest(); // fetch tells nothing of an upload under way
    request.open("POST", "/predict");
    request.upload.onprogress = (event) => event.lengthComputable && progress(event.loaded / event.total);
    request.upload.onload = () => progress(1);
    request.onerror = () => reject(new Error("the server does not answer; is it still running?"));
    request.onload = () => {
      let answer = {};
      try { answer = JSON.parse(request.responseText); } catch { answer = { error: `the server answered ${request.status}` }; }
      if (request.status === 200) resolve(answer);
      else reject(Object.assign(new Error(answer.error), { status: request.status }));
    };
    request.send(form);
  });
}

async function faultOf(answer) {
  const told = await answer.json().catch(() => ({}));
  return Object.assign(new Error(told.error || `the server answered ${answer.status}`), { status: answer.status });
}
