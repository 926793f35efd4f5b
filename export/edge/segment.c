/* model_uint8.tflite of a bundle on a picture of any size, through the C API of LiteRT.
   segment MODEL HEIGHT WIDTH [THREADS] < raw pixels, 8 bit, row by row, grey or R G B > class ids, a byte each

   L=$(python -c "import ai_edge_litert; print(ai_edge_litert.__path__[0])")
   gcc -O2 segment.c -o segment -L$L -lLiteRt -Wl,-rpath,$L

   LiteRT crashes on files that are damaged: compare sha256sum MODEL with bundle.json after copying. */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What is called of LiteRT 2.3's C API (litert/c): the wheel has the library and no headers. Handles are opaque. */
typedef void *Handle;
typedef struct {
  int element_type;
  struct {
    unsigned int rank : 7;
    bool has_strides : 1;
    int32_t dimensions[8];
    uint32_t strides[8];
  } layout;
} TensorType;
enum { UINT8 = 3, CPU = 1, READ = 0, WRITE = 1 };

int LiteRtCreateEnvironment(int count, const void *options, Handle *environment);
int LiteRtCreateModelFromFile(Handle environment, const char *file, Handle *model);
int LiteRtGetModelMetadata(Handle model, const char *key, const void **data, size_t *size);
int LiteRtGetModelSignature(Handle model, size_t index, Handle *signature);
int LiteRtGetSignatureInputTensor(Handle signature, const char *name, Handle *tensor);
int LiteRtGetSignatureOutputTensor(Handle signature, const char *name, Handle *tensor);
int LiteRtGetSignatureOutputName(Handle signature, size_t index, const char **name);
int LiteRtGetRankedTensorType(Handle tensor, TensorType *type);
int LiteRtCreateOptions(Handle *options);
int LiteRtSetOptionsHardwareAccelerators(Handle options, int accelerators);
int LiteRtCreateOpaqueOptions(const char *name, void *data, void (*release)(void *), Handle *options);
int LiteRtAddOpaqueOptions(Handle options, Handle more);
int LiteRtCreateCompiledModel(Handle environment, Handle model, Handle options, Handle *compiled);
int LiteRtGetCompiledModelInputBufferRequirements(Handle compiled, size_t signature, size_t index, Handle *required);
int LiteRtGetCompiledModelOutputBufferRequirements(Handle compiled, size_t signature, size_t index, Handle *required);
int LiteRtCreateManagedTensorBufferFromRequirements(Handle environment, const TensorType *, Handle required, Handle *);
int LiteRtLockTensorBuffer(Handle buffer, void **memory, int mode);
int LiteRtUnlockTensorBuffer(Handle buffer);
int LiteRtRunCompiledModel(Handle compiled, size_t signature, size_t ins, Handle *in, size_t outs, Handle *out);

static void check(int status, const char *what) {
  if (!status) return;
  fprintf(stderr, "%s: LiteRT gives status %d\n", what, status);
  exit(1);
}

static void refuse(const char *rule) {
  fprintf(stderr, "%s\n", rule);
  exit(1);
}

/* A whole number of the JSON that the file has about itself. */
static int number(const char *about, const char *name) {
  char key[32];
  snprintf(key, sizeof key, "\"%s\": ", name);
  const char *at = strstr(about, key);
  if (!at) refuse("The file is none of unet-tf export: it does not say its sizes.");
  return atoi(at + strlen(key));
}

/* Up to `most` numbers of a list of that JSON; how many there are. */
static int numbers(const char *about, const char *name, double *found, int most) {
  char key[32], *end;
  snprintf(key, sizeof key, "\"%s\": [", name);
  const char *at = strstr(about, key);
  int count = 0;
  for (at = at ? at + strlen(key) : ""; count < most; at = *end == ',' ? end + 1 : end) {
    found[count] = strtod(at, &end);
    if (end == at) break;
    ++count;
  }
  return count;
}

/* Rounded, halves to even numbers. */
static uint8_t nearest(double value) {
  int low = (int)value;
  double rest = value - low;
  return (uint8_t)(low + (rest > 0.5 || (rest == 0.5 && low % 2)));
}

/* Mirrored outside of an axis, without its edge twice: 3 2 1 | 0 1 2 3 | 2 1 0. */
static long mirrored(long position, long size) {
  long period = size > 1 ? 2 * (size - 1) : 1;
  long index = ((position % period) + period) % period;
  return index < period - index ? index : period - index;
}

int main(int argc, char **argv) {
  long height = argc > 2 ? atol(argv[2]) : 0, width = argc > 3 ? atol(argv[3]) : 0;
  int threads = argc > 4 ? atoi(argv[4]) : 2;
  if (argc < 4 || argc > 5 || height < 1 || width < 1 || threads < 1)
    refuse("segment MODEL HEIGHT WIDTH [THREADS] < pixels > class ids; numbers are 1 or more");

  Handle environment, model, signature, options, opaque, compiled;
  check(LiteRtCreateEnvironment(0, NULL, &environment), "environment");
  check(LiteRtCreateModelFromFile(environment, argv[1], &model), argv[1]);
  const void *data;
  size_t size;
  check(LiteRtGetModelMetadata(model, "unet_tf", &data, &size), "The file is none of unet-tf export");
  char *about = calloc(size + 1, 1);
  memcpy(about, data, size);
  const int tile = number(about, "tile"), output = number(about, "output"), step = number(about, "step");
  const int halo = number(about, "halo"), margin = number(about, "margin"), channels = number(about, "channels");
  if (!strstr(about, "\"pixel_type\": \"uint8\"")) refuse("The net must have been trained on 8-bit pictures.");

  uint8_t(*counted)[256] = malloc(channels * sizeof *counted); /* as what a byte of a channel counts */
  double *mean = calloc(channels, sizeof *mean), nodata[256];
  numbers(about, "mean", mean, channels);
  const int gaps = numbers(about, "nodata", nodata, 256);
  for (int channel = 0; channel < channels; ++channel)
    for (int value = 0; value < 256; ++value) {
      counted[channel][value] = (uint8_t)value;
      for (int gap = 0; gap < gaps; ++gap) /* values of "no measurement": the mean */
        if (nodata[gap] == value) counted[channel][value] = nearest(mean[channel]);
    }

  check(LiteRtCreateOptions(&options), "options");
  check(LiteRtSetOptionsHardwareAccelerators(options, CPU), "options");
  char *cpu = malloc(32);
  snprintf(cpu, 32, "num_threads = %d\n", threads);
  check(LiteRtCreateOpaqueOptions("xnnpack", cpu, free, &opaque), "threads");
  check(LiteRtAddOpaqueOptions(options, opaque), "threads");
  check(LiteRtCreateCompiledModel(environment, model, options, &compiled), "compile");

  Handle tensor, required, in, out[2]; /* signature 0, "serving_default": image -> mask, probabilities */
  TensorType type;
  check(LiteRtGetModelSignature(model, 0, &signature), "signature");
  check(LiteRtGetSignatureInputTensor(signature, "image", &tensor), "image");
  check(LiteRtGetRankedTensorType(tensor, &type), "image");
  if (type.element_type != UINT8) refuse("This program feeds bytes: give it model_uint8.tflite.");
  check(LiteRtGetCompiledModelInputBufferRequirements(compiled, 0, 0, &required), "image");
  check(LiteRtCreateManagedTensorBufferFromRequirements(environment, &type, required, &in), "image");
  int mask = 0;
  for (int index = 0; index < 2; ++index) {
    const char *name;
    check(LiteRtGetSignatureOutputName(signature, index, &name), "outputs");
    if (!strcmp(name, "mask")) mask = index;
    check(LiteRtGetSignatureOutputTensor(signature, name, &tensor), name);
    check(LiteRtGetRankedTensorType(tensor, &type), name);
    check(LiteRtGetCompiledModelOutputBufferRequirements(compiled, 0, index, &required), name);
    check(LiteRtCreateManagedTensorBufferFromRequirements(environment, &type, required, &out[index]), name);
  }

  size_t bytes = (size_t)height * width * channels;
  uint8_t *pixels = malloc(bytes), *label = malloc((size_t)height * width), *memory;
  if (!pixels || !label) refuse("The picture does not fit into memory.");
  if (fread(pixels, 1, bytes, stdin) != bytes || getchar() != EOF)
    refuse("The pixels must be HEIGHT x WIDTH x channels bytes, as many channels as the net takes.");
  for (size_t at = 0; at < bytes; ++at) pixels[at] = counted[at % channels][pixels[at]];

  for (long top = 0; top < height; top += step)
    for (long left = 0; left < width; left += step) {
      check(LiteRtLockTensorBuffer(in, (void **)&memory, WRITE), "image");
      for (int row = 0; row < tile; ++row) {
        const uint8_t *line = pixels + mirrored(top - halo + row, height) * width * channels;
        for (int column = 0; column < tile; ++column, memory += channels)
          memcpy(memory, line + mirrored(left - halo + column, width) * channels, channels);
      }
      check(LiteRtUnlockTensorBuffer(in), "image");
      check(LiteRtRunCompiledModel(compiled, 0, 1, &in, 2, out), "run");
      check(LiteRtLockTensorBuffer(out[mask], (void **)&memory, READ), "mask");
      long columns = width - left < step ? width - left : step;
      for (int row = 0; row < step && top + row < height; ++row)
        memcpy(label + (top + row) * width + left, memory + (long)(margin + row) * output + margin, columns);
      check(LiteRtUnlockTensorBuffer(out[mask]), "mask");
    }
  size_t count = (size_t)height * width;
  if (fwrite(label, 1, count, stdout) != count || fflush(stdout)) refuse("The class ids cannot be written.");
  return 0;
}
